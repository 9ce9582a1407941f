"""Running text as batches of sequences of words, for fairseq's trainer."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from fairseq.data import FairseqDataset
from torch import Tensor

from hat.fairseq_plugin.datasets import collated

if TYPE_CHECKING:
    from hat.data.language_modeling.prepared import LanguageData


IGNORED = -1  # as a target: it doesn't count


class TextSequences(FairseqDataset):
    """A split of a LanguageData, cut into sequences of at most `length` words, each of which is to be predicted once.

    A sequence begins with the `seen` words before those that it is to predict, so that these have as much context as
    they would in the whole text. With a `seed`, where it is cut and the order of sequences are drawn anew each epoch.
    """

    def __init__(
        self, prepared: "LanguageData", split: str, length: int, seen: int = 0, seed: int | None = None
    ) -> None:
        self._stream, self._end_of_line = prepared.stream(split), prepared.end_of_line
        self._length, self._seen, self._seed = length, seen, seed
        self.set_epoch(1)

    def set_epoch(self, epoch: int) -> None:
        """Cut the text for this epoch."""
        step, rng = self._length - self._seen, np.random.default_rng((self._seed or 0, epoch))
        first = step if self._seed is None else int(rng.integers(1, step + 1))
        self._edges = np.array([0, *range(first, len(self._stream), step), len(self._stream)])
        order = np.arange(len(self))
        self._order = order if self._seed is None else rng.permutation(order)

    def __len__(self) -> int:
        return len(self._edges) - 1

    def __getitem__(self, index: int) -> tuple[int, Tensor, Tensor]:
        """(index, words that are read, words to predict), both (words,): what is read begins a word earlier.

        Before the text stands the end of a line.
        """
        begin, start, end = self._begin(index), self._edges[index], self._edges[index + 1]
        target = np.asarray(self._stream[begin:end], np.int64)
        before = self._stream[begin - 1] if begin else self._end_of_line
        read = torch.from_numpy(np.concatenate([[before], target[:-1]]).astype(np.int64))
        target[: start - begin] = IGNORED
        return index, read, torch.from_numpy(target)

    def _begin(self, index: int) -> int:
        return max(0, int(self._edges[index]) - self._seen)

    @property
    def sizes(self) -> np.ndarray:
        """Words of each sequence, those before it included."""
        return np.minimum(np.diff(self._edges) + self._seen, self._edges[1:])

    def num_tokens(self, index: int) -> int:
        return int(self.sizes[index])

    def size(self, index: int) -> int:
        return int(self.sizes[index])

    def ordered_indices(self) -> np.ndarray:
        return self._order

    def collater(self, samples: Sequence[tuple[int, Tensor, Tensor]]) -> dict[str, Any]:
        """A fairseq sample of items, the shorter ones filled up on the right; {} without any.

        `begins` are the places in the text of each one's first target.
        """
        if not samples:
            return {}
        ids, read, targets = zip(*samples, strict=True)
        pad = torch.nn.utils.rnn.pad_sequence
        target = pad(list(targets), batch_first=True, padding_value=IGNORED)
        return {
            "id": torch.tensor(ids),
            "nsentences": len(ids),
            "ntokens": int(target.ne(IGNORED).sum()),
            "net_input": {"words": pad(list(read), batch_first=True, padding_value=self._end_of_line)},
            "target": target,
            "begins": [self._begin(index) for index in ids],
        }


class TextLines(TextSequences):
    """The lines of a split, each to be predicted after the `seen` words before it, short ones first."""

    def __init__(self, prepared: "LanguageData", split: str, seen: int) -> None:
        super().__init__(prepared, split, length=seen + 1, seen=seen)

    def set_epoch(self, epoch: int) -> None:
        """The same lines in every epoch."""
        ends = np.flatnonzero(np.asarray(self._stream) == self._end_of_line) + 1
        self._edges = np.concatenate([[0], ends])
        self._order = np.argsort(self.sizes, kind="stable")


def load_line_batches(
    prepared: "LanguageData", split: str, max_tokens: int, lines: np.ndarray, seen: int
) -> list[dict[str, Any]]:
    """The `lines` of a split, by number, as fairseq samples of at most `max_tokens`, the words seen before included."""
    return list(collated(TextLines(prepared, split, seen), max_tokens, lines))
