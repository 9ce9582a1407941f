"""Labelled texts as batches of tensors, for fairseq's trainer and for scoring."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from fairseq.data import FairseqDataset, data_utils
from torch import Tensor

from hat.fairseq_plugin.datasets import collated

if TYPE_CHECKING:
    from hat.data.classification.prepared import ClassificationData


@dataclass(frozen=True)
class LabelledBatch:
    """Texts of similar length: `tokens` and `segments` int64 (batch, time), padded on the right, `target` (batch,).

    `segments` is None where there is one only; `ids` are the texts' line numbers (batch,).
    """

    ids: torch.Tensor
    tokens: torch.Tensor
    segments: torch.Tensor | None
    target: torch.Tensor


class LabelledTexts(FairseqDataset):
    """A split of a ClassificationData; with `shuffle`, texts of one length are in an order drawn by fairseq's seed."""

    def __init__(self, prepared: "ClassificationData", split: str, shuffle: bool = False) -> None:
        self._ids, self._labels = prepared.token_ids(split), prepared.label_ids(split)
        self._prepared, self._shuffle = prepared, shuffle
        self.sizes = np.asarray(self._ids.sizes)

    def __getitem__(self, index: int) -> tuple[int, Tensor, int]:
        return index, torch.as_tensor(np.asarray(self._ids[index]), dtype=torch.int64), int(self._labels[index])

    def __len__(self) -> int:
        return len(self.sizes)

    def num_tokens(self, index: int) -> int:
        return int(self.sizes[index])

    def size(self, index: int) -> int:
        return int(self.sizes[index])

    def ordered_indices(self) -> np.ndarray:
        indices = np.random.permutation(len(self)) if self._shuffle else np.arange(len(self))
        return indices[np.argsort(self.sizes[indices], kind="stable")]

    def collater(self, samples: Sequence[tuple[int, Tensor, int]]) -> dict[str, Any]:
        """A fairseq sample of items; {} without any."""
        if not samples:
            return {}
        ids, texts, labels = zip(*samples, strict=True)
        inputs = {"tokens": data_utils.collate_tokens(list(texts), self._prepared.padding)}
        if self._prepared.segments > 1:
            inputs["segments"] = segments_of(inputs["tokens"], self._prepared.separator)
        return {
            "id": torch.tensor(ids),
            "nsentences": len(ids),
            "ntokens": sum(map(len, texts)),
            "net_input": inputs,
            "target": torch.tensor(labels),
        }


def segments_of(tokens: Tensor, separator: int) -> Tensor:
    """0 for each token up to and with the first separator, 1 after it: (batch, time) like `tokens`."""
    ends = tokens.eq(separator).long().cumsum(1)
    return (ends - tokens.eq(separator).long()).clamp(max=1)


def load_labelled_batches(
    prepared: "ClassificationData", split: str, max_tokens: int, lines: np.ndarray | None = None
) -> list[LabelledBatch]:
    """The split (or its `lines`, by number) as a list of LabelledBatch, shortest first, at most `max_tokens` each."""
    return [_labelled_batch(sample) for sample in collated(LabelledTexts(prepared, split), max_tokens, lines)]


def _labelled_batch(sample: dict[str, Any]) -> LabelledBatch:
    inputs = sample["net_input"]
    return LabelledBatch(sample["id"], inputs["tokens"], inputs.get("segments"), sample["target"])
