"""The two passes over a split of labelled text: clean text first, then, once there is a tokenizer, token ids."""

import collections
import contextlib
import itertools
import json
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import numpy as np

from hat import files
from hat.data.text import normalise_spaces
from hat.errors import DataError
from hat.progress import Progress

if TYPE_CHECKING:
    from hat.data.classification.sources import Example


BATCH = 5000
TAUGHT_CHARACTERS = 1000  # of a text, to a new tokenizer: SentencePiece passes over lines of more than 4192 bytes


@dataclass
class TextCounts:
    """What became of the texts of one split. The test split keeps those that are empty, the others leave them out."""

    split: str
    read: int = 0
    empty: int = 0
    cut: int = 0
    labels: dict[str, int] = field(default_factory=dict)  # of those kept

    @property
    def kept(self) -> int:
        return sum(self.labels.values())

    def describe(self, max_length: int) -> str:
        """One line for the user: 'train: 980 of 1000 texts kept, left out: 20 empty; cut to ... tokens: 5'."""
        text = f"{self.split}: {self.kept} of {self.read} texts kept"
        if self.empty:
            text += f", {'left out' if self.kept < self.read else 'among them'}: {self.empty} empty"
        return text + (f"; cut to data.max_length {max_length}: {self.cut}" if self.cut else "")


def write_examples(
    split: str, examples: "Iterable[Example]", path: Path, known_labels: Collection[str] | None = None
) -> TextCounts:
    """Write a split's Examples as JSON lines {"text", "text_pair"?, "label"}; returns its TextCounts.

    Raises DataError for a label that isn't among `known_labels` (if there are any), and if nothing is left.
    """
    labels: collections.Counter[str]
    counts, labels = TextCounts(split), collections.Counter()
    with _new_text(path) as output:
        for example in examples:
            if known_labels and example.label not in known_labels:
                raise DataError(
                    f"{example.place}: label {example.label!r} of the {split} split is not in train; "
                    f"its labels are {', '.join(known_labels)}"
                )
            counts.read += 1
            sides = [example.text] if example.pair is None else [example.text, example.pair]
            empty = not all(side.strip() for side in sides)
            counts.empty += empty
            if not empty or split == "test":
                row = {**dict(zip(("text", "text_pair"), sides, strict=False)), "label": example.label}
                output.write(json.dumps(row, ensure_ascii=False) + "\n")
                labels[example.label] += 1
    counts.labels = dict(sorted(labels.items()))
    if counts.read == counts.empty:
        raise DataError(f"the {split} split has no text that isn't empty ({counts.read} read); check its files")
    return counts


def write_taught_text(path: Path, raw: Path) -> int:
    """What a new tokenizer learns from: the texts of the JSON lines `raw`, one a line; returns how many."""
    lines = 0
    with _new_text(path) as output:
        for row in _rows(raw):
            for text in sides(row):
                output.write(normalise_spaces(text)[:TAUGHT_CHARACTERS] + "\n")
                lines += 1
    return lines


def write_encoded(
    counts: TextCounts,
    raw: Path,
    prefix: Path,
    labels_path: Path,
    encoder: Any,
    labels: Sequence[str],
    max_tokens: int,
) -> int:
    """Write a split's token sequences (`<prefix>.bin`, `.idx`) and labels (.npy); returns how many were cut."""
    from hat.fairseq_plugin.binarise import binarised_sequences

    cut, label_ids, numbers = 0, [], {name: number for number, name in enumerate(labels)}
    with (
        binarised_sequences(prefix, encoder.vocabulary) as output,
        Progress(f"binarise {counts.split}", counts.kept, "texts") as progress,
    ):
        rows = _rows(raw)
        while batch := list(itertools.islice(rows, BATCH)):
            sequences = encoder.encode_all(*zip(*map(sides, batch), strict=True))
            for place in [place for place, sequence in enumerate(sequences) if len(sequence) > max_tokens]:
                sequences[place] = encoder.encode(*sides(batch[place]), max_tokens=max_tokens)
                cut += 1
            output.add(sequences)
            label_ids += [numbers[row["label"]] for row in batch]
            progress.advance(len(batch))
    with files.replacing(labels_path) as temporary, open(temporary, "wb") as handle:
        np.save(handle, np.array(label_ids, np.int64))
    return cut


def sides(row: dict[str, Any]) -> list[str]:
    """[text] or [text, pair] of one of the JSON lines."""
    return [row[name] for name in ("text", "text_pair") if name in row]


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the JSON lines of a file."""
    with open(path, encoding="utf-8", newline="\n") as lines:
        yield from map(json.loads, lines)


@contextlib.contextmanager
def _new_text(path: Path) -> Iterator[TextIO]:
    """A text file open for writing that is there, complete, when the block has ended without an error."""
    with files.replacing(path) as temporary, open(temporary, "w", encoding="utf-8", newline="\n") as output:
        yield output
