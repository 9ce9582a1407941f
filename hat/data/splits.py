"""The two passes over a split: clean text first, then, once there is a tokenizer, raw text and token ids."""

import contextlib
import itertools
from collections import Counter
from dataclasses import dataclass

from hat.data.text import normalise_spaces, read_lines
from hat.data.tokenizer import END_OF_SENTENCE
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
    def keeps_all(self):
        return self.split == "test"

    def describe(self, max_length):
        """One line for the user: '980 of 1000 pairs kept, left out: 20 with an empty side'."""
        found = []
        if self.empty:
            found.append(f"{self.empty} with an empty side")
        if self.over_long:
            found.append(f"{self.over_long} longer than data.max_length {max_length}")
        text = f"{self.split}: {self.kept} of {self.read} pairs kept"
        return text + (f", {'among them' if self.keeps_all else 'left out'}: {', '.join(found)}" if found else "")


def write_clean(split, pairs, directory, languages):
    """Write `<split>.<lang>` text files with normal white space, without the pairs that have an empty side.

    Returns the SplitCounts; raises DataError if nothing is left.
    """
    counts = SplitCounts(split)
    directory.mkdir(exist_ok=True)
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


class Side:
    """One language of the prepared data: its tokenizer and how often each of its pieces came up in training text."""

    def __init__(self, lang, tokenizer):
        self.lang, self.tokenizer = lang, tokenizer
        self.piece_counts = Counter()


def write_encoded(counts, clean, building, sides, max_length):
    """Write `raw/<split>.<lang>` and the binarised split from clean text, without over-long pairs.

    sides: the source's Side and the target's. A pair is over-long if either side has more than `max_length` pieces.
    Completes `counts`; raises DataError if nothing is left.
    """
    from hat.fairseq_plugin.binarise import BinarisedText

    split, languages = counts.split, [side.lang for side in sides]
    (building / "raw").mkdir(exist_ok=True)
    total = counts.read if counts.keeps_all else counts.read - counts.empty
    with contextlib.ExitStack() as stack:
        texts = [_open_text(stack, building / "raw" / f"{split}.{lang}") for lang in languages]
        ids = [BinarisedText(building, split, *languages, side.lang, len(side.tokenizer)) for side in sides]
        progress = stack.enter_context(Progress(f"binarise {split}", total, "pairs"))
        for pair in _encoded_pairs([clean / f"{split}.{lang}" for lang in languages], sides):
            progress.advance()
            over_long = any(len(encoded) > max_length for _, encoded in pair)
            counts.over_long += over_long
            if over_long and not counts.keeps_all:
                continue
            counts.kept += 1
            for (line, encoded), text, binarised, side in zip(pair, texts, ids, sides, strict=True):
                text.write(line + "\n")
                binarised.add([*encoded, END_OF_SENTENCE])
                if split == "train":
                    side.piece_counts.update(encoded)
    for binarised in ids:
        binarised.finish()
    if counts.kept == 0:
        raise DataError(f"every pair of the {split} split is longer than data.max_length {max_length}; raise it")


def _encoded_pairs(paths, sides):
    """Yield ((source line, source ids), (target line, target ids)) of two clean text files, encoded in batches."""
    readers = [read_lines(path) for path in paths]
    while batch := [list(itertools.islice(reader, BATCH)) for reader in readers]:
        if not batch[0]:
            return
        encoded = [
            zip(lines, side.tokenizer.encode(lines), strict=True) for lines, side in zip(batch, sides, strict=True)
        ]
        yield from zip(*encoded, strict=True)


def _open_text(stack, path):
    return stack.enter_context(open(path, "w", encoding="utf-8", newline="\n"))
