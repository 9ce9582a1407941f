"""Stage `hat-prepare` of a language model: lines of words to clean text, a vocabulary and streams of word numbers."""

import dataclasses
import itertools
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hat import files
from hat.data.language_modeling.pieces import train_pieces
from hat.data.language_modeling.ranking import ranked_words
from hat.data.language_modeling.sources import RunningText, open_running_text
from hat.data.preparation import prepare_once
from hat.data.source_files import SPLITS
from hat.data.text import normalise_spaces
from hat.deploy.words import END_OF_LINE, Vocabulary
from hat.errors import DataError
from hat.experiment.run_directory import RunDirectory

if TYPE_CHECKING:
    from hat.data.stages import Stages


LINES_AT_A_TIME = 10_000
VOCABULARIES = {"words": "vocabulary.txt", "sentencepiece": "sentencepiece.model"}


@dataclasses.dataclass
class LineCounts:
    """What became of a split's lines, of which those without a word are left out; words are without ends of lines."""

    split: str
    lines: int = 0
    empty: int = 0
    words: int = 0
    unknown: int = 0

    def describe(self) -> str:
        """One line for the user."""
        text = f"{self.split}: {self.lines} lines of {self.words} words"
        if self.empty:
            text += f", left out: {self.empty} empty"
        return text + (f"; {self.unknown} words are not in the vocabulary" if self.unknown else "")


def prepare(run: RunDirectory, source_directory: Path | str | None = None) -> None:
    """Prepare the data of a RunDirectory into `run.data`, as `prepare_once` does.

    The files of a named corpus are read from `source_directory`.
    """
    prepare_once(run, source_directory, open_running_text, _build)


def _build(run: RunDirectory, stages: "Stages", text: RunningText) -> dict[str, Any]:
    """Do what is left of the stages; returns what data.json says about the prepared data."""
    config, raw = run.config.data, {split: stages.data / "raw" / f"{split}.txt" for split in SPLITS}
    read = stages.once(
        "text", lambda: {split: vars(_write_lines(split, text.splits[split], raw[split])) for split in SPLITS}
    )
    path = stages.data / VOCABULARIES[config.tokenizer]
    if not path.exists() and config.tokenizer == "sentencepiece":
        files.write_bytes(path, train_pieces(raw["train"], config.vocabulary_size, read["train"]["lines"]))
    elif not path.exists():
        words = ranked_words(_word_counts(raw["train"]), config.vocabulary_size)
        files.write_text(path, "".join(f"{word}\n" for word in words))
    vocabulary = Vocabulary.load(path)
    run.config.model.check_cutoffs(len(vocabulary))
    counts = {split: LineCounts(**read[split]) for split in SPLITS}
    for split in SPLITS:
        encode = lambda split=split: _write_ids(raw[split], stages.data / f"{split}.npy", vocabulary)  # noqa: E731
        counts[split].unknown = stages.once(split, encode)
        print(counts[split].describe(), flush=True)
    print(_described(vocabulary, stages.data / "train.npy", counts["train"], config.tokenizer), flush=True)
    return {
        "task": "language_modeling",
        "corpus": config.corpus,
        "vocabulary": len(vocabulary),
        "vocabulary_file": path.name,
        "end_of_line": vocabulary.end_of_line,
        "unknown": vocabulary.unknown,
        "sentences": {split: counts[split].lines for split in SPLITS},
        "counts": {split: vars(counts[split]) for split in SPLITS},
    }


def _described(vocabulary: Vocabulary, stream: Path, train: LineCounts, tokenizer: str) -> str:
    """One line for the user."""
    if tokenizer == "words":
        return f"vocabulary: {len(vocabulary)} words"
    pieces = len(np.load(stream, mmap_mode="r")) / (train.words + train.lines)
    return (
        f"vocabulary: {len(vocabulary)} pieces, {pieces:.2f} to a word: what trainings and latencies say of a word is "
        "of a piece, perplexities of hat-evaluate and hat-score are of whole words"
    )


def _write_lines(split: str, lines: Iterable[str], path: Path) -> LineCounts:
    """Write the lines that have words, single spaces between them; DataError if there are none."""
    counts = LineCounts(split)
    with files.replacing(path) as temporary, open(temporary, "w", encoding="utf-8", newline="\n") as output:
        for line in map(normalise_spaces, lines):
            if not line:
                counts.empty += 1
                continue
            counts.lines += 1
            counts.words += line.count(" ") + 1
            output.write(line + "\n")
    if not counts.lines:
        raise DataError(f"the {split} split has no line with a word in it ({counts.empty} read); check its files")
    return counts


def _word_counts(path: Path) -> Counter[str]:
    counts: Counter[str] = Counter()
    with open(path, encoding="utf-8", newline="\n") as lines:
        for line in lines:
            counts.update(line.split())
            counts[END_OF_LINE] += 1
    return counts


def _write_ids(raw: Path, path: Path, vocabulary: Vocabulary) -> int:
    """Write all words' numbers, each line's end among them, as an array (words,); returns how many are unknown."""
    parts, unknown, kind = [], 0, np.min_scalar_type(len(vocabulary))
    with open(raw, encoding="utf-8", newline="\n") as lines:
        while batch := list(itertools.islice(lines, LINES_AT_A_TIME)):
            unknown += sum(vocabulary.unknown_in(line.split()) for line in batch)
            ids = itertools.chain.from_iterable([*vocabulary.encode(line), vocabulary.end_of_line] for line in batch)
            parts.append(np.fromiter(ids, kind))
    with files.replacing(path) as temporary, open(temporary, "wb") as handle:
        np.save(handle, np.concatenate(parts))
    return unknown
