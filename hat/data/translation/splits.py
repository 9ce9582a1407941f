"""The two passes over a split: clean text first, then, once there is a tokenizer, token ids."""

import contextlib
import itertools
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from hat import files
from hat.data.text import normalise_spaces
from hat.data.tokenizer import Tokenizer
from hat.errors import DataError
from hat.progress import Progress

BATCH = 5000


@dataclass
class SplitCounts:
    """What became of the sentence pairs of one split. The test split keeps every pair, the others leave some out."""

    split: str
    read: int = 0
    kept: int = 0
    empty: int = 0
    over_long: int = 0

    @property
    def keeps_all(self) -> bool:
        return self.split == "test"

    @property
    def clean(self) -> int:
        """How many pairs the clean text has."""
        return self.read if self.keeps_all else self.read - self.empty

    def describe(self, max_length: int) -> str:
        """One line for the user: '980 of 1000 pairs kept, left out: 20 with an empty side'."""
        found = []
        if self.empty:
            found.append(f"{self.empty} with an empty side")
        if self.over_long:
            found.append(f"{self.over_long} longer than data.max_length {max_length}")
        text = f"{self.split}: {self.kept} of {self.read} pairs kept"
        return text + (f", {'among them' if self.keeps_all else 'left out'}: {', '.join(found)}" if found else "")


def write_text(split: str, pairs: Iterable[tuple[str, str]], directory: Path, languages: Sequence[str]) -> SplitCounts:
    """Write `<split>.<lang>` text files with normal white space, without the pairs that have an empty side.

    Returns the SplitCounts; raises DataError if nothing is left.
    """
    counts = SplitCounts(split)
    with contextlib.ExitStack() as stack:
        outputs = [_open_text(stack, directory / f"{split}.{lang}") for lang in languages]
        for pair in pairs:
            counts.read += 1
            lines = [normalise_spaces(line) for line in pair]
            counts.empty += not all(lines)
            if all(lines) or counts.keeps_all:
                for output, line in zip(outputs, lines, strict=True):
                    output.write(line + "\n")
    if counts.read == counts.empty:
        raise DataError(f"the {split} split has no pair with text on both sides ({counts.read} read); check its files")
    return counts


@dataclass(frozen=True)
class Side:
    """One language of the prepared data, and its tokenizer."""

    lang: str
    tokenizer: Tokenizer


def write_encoded(counts: SplitCounts, clean: Path, data: Path, sides: Sequence[Side], max_length: int) -> list[int]:
    """Write the binarised split from its clean text, without over-long pairs; returns their line numbers, from 0.

    sides: the source's Side and the target's. A pair is over-long if either side has more than `max_length` pieces.
    Completes `counts`; raises DataError if nothing is left.
    """
    from hat.fairseq_plugin.binarise import binarised_text

    languages: Any
    split, languages = counts.split, [side.lang for side in sides]
    left_out = []
    with contextlib.ExitStack() as stack:
        outputs = [
            stack.enter_context(
                binarised_text(data, split, *languages, side.lang, len(side.tokenizer))  # type: ignore[call-arg]
            )
            for side in sides
        ]
        progress = stack.enter_context(Progress(f"binarise {split}", counts.clean, "pairs"))
        for start, pairs in _encoded_pairs([clean / f"{split}.{lang}" for lang in languages], sides):
            progress.advance(len(pairs))
            over_long = [number for number, pair in enumerate(pairs) if max(map(len, pair)) > max_length]
            counts.over_long += len(over_long)
            if not counts.keeps_all:
                left_out += [start + number for number in over_long]
                for number in reversed(over_long):
                    del pairs[number]
            for output, sentences in zip(outputs, zip(*pairs, strict=True), strict=False):
                output.add(sentences)
    counts.kept = counts.clean - len(left_out)
    if counts.kept == 0:
        raise DataError(f"every pair of the {split} split is longer than data.max_length {max_length}; raise it")
    return left_out


def _encoded_pairs(paths: Sequence[Path], sides: Sequence[Side]) -> Iterator[tuple[int, list[Any]]]:
    """Yield (number of the first line, list of (source ids, target ids)) of two clean text files, in batches."""
    with contextlib.ExitStack() as stack:
        readers = [stack.enter_context(open(path, encoding="utf-8", newline="\n")) for path in paths]
        for start in itertools.count(0, BATCH):
            batch = [[line[:-1] for line in itertools.islice(reader, BATCH)] for reader in readers]
            if not batch[0]:
                return
            ids = [side.tokenizer.encode(lines) for side, lines in zip(sides, batch, strict=True)]
            yield start, list(zip(*ids, strict=True))


def move_raw(clean: Path, raw: Path, left_out: Sequence[int]) -> None:
    """Make the file `raw` of a split's clean text without the lines numbered in `left_out`; `clean` is there no more.

    Nothing is done if an earlier, killed run has done it.
    """
    if not clean.exists():
        return
    if left_out:
        dropped = set(left_out)
        with open(clean, encoding="utf-8", newline="\n") as lines, contextlib.ExitStack() as stack:
            kept = _open_text(stack, raw)
            kept.writelines(line for number, line in enumerate(lines) if number not in dropped)
        clean.unlink()
    else:
        raw.parent.mkdir(exist_ok=True)
        os.replace(clean, raw)


def _open_text(stack: contextlib.ExitStack, path: Path) -> TextIO:
    """Open a text file for writing that is there, complete, when the stack is closed."""
    temporary = stack.enter_context(files.replacing(path))
    return stack.enter_context(open(temporary, "w", encoding="utf-8", newline="\n"))
