"""Prepared splits as batches of tensors, through fairseq's datasets and its batching by tokens."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from fairseq.data import Dictionary, FairseqDataset, LanguagePairDataset
from fairseq.tasks.translation import load_langpair_dataset

from hat.errors import ArtifactError

if TYPE_CHECKING:
    from hat.data.translation.prepared import PreparedData


LONGEST = 100_000  # no sentence is left out for its length


@dataclass(frozen=True)
class Batch:
    """Sentences of similar length; `ids` are their line numbers (batch,), the others (batch, time) token ids.

    Sources are padded on the left, targets on the right; all end with </s>, which `prev_output_tokens` start with.
    """

    ids: torch.Tensor
    src_tokens: torch.Tensor
    prev_output_tokens: torch.Tensor
    target: torch.Tensor


def load_dictionary(prepared: "PreparedData", lang: str) -> Dictionary:
    """fairseq's dictionary of one of the two languages; raises ArtifactError if it is missing."""
    path = prepared.directory / f"dict.{lang}.txt"
    if not path.exists():
        raise ArtifactError(f"{path} is missing; run hat-prepare")
    return Dictionary.load(str(path))


def load_split(prepared: "PreparedData", split: str) -> LanguagePairDataset:
    """A prepared split as fairseq's LanguagePairDataset; raises ArtifactError if it is missing."""
    try:
        dataset = load_langpair_dataset(
            str(prepared.directory),
            split,
            prepared.source_lang,
            load_dictionary(prepared, prepared.source_lang),
            prepared.target_lang,
            load_dictionary(prepared, prepared.target_lang),
            combine=False,
            dataset_impl=None,
            upsample_primary=1,
            left_pad_source=True,
            left_pad_target=False,
            max_source_positions=LONGEST,
            max_target_positions=LONGEST,
            shuffle=False,
        )
    except FileNotFoundError as error:
        raise ArtifactError(f"{error}; run hat-prepare") from None
    narrow_lengths(dataset)
    return dataset


def narrow_lengths(dataset: LanguagePairDataset) -> None:
    """Hold the lengths of a LanguagePairDataset, four 32-bit numbers a pair, in as few bits as they need.

    Numpy sorts 8 and 16 bits in linear time; batches stay the same.
    """
    for name in ("src_sizes", "tgt_sizes", "sizes"):
        lengths = getattr(dataset, name)
        setattr(dataset, name, lengths.astype(np.min_scalar_type(lengths.max(initial=0))))


def load_batches(prepared: "PreparedData", split: str, max_tokens: int, lines: np.ndarray | None = None) -> list[Batch]:
    """The split (or its `lines`, by number) as a list of Batch, shortest first, at most `max_tokens` a side."""
    dataset = load_split(prepared, split)
    return [
        Batch(
            batch["id"],
            batch["net_input"]["src_tokens"],
            batch["net_input"]["prev_output_tokens"],
            batch["target"],
        )
        for batch in collated(dataset, max_tokens, lines)
    ]


def source_batches(
    sources: Iterable[Sequence[int]], dictionary: Dictionary, max_tokens: int
) -> Iterator[dict[str, Any]]:
    """Token id lists (with or without </s>) as fairseq samples for its generator, similar lengths together."""
    end = dictionary.eos()
    tensors = [torch.tensor([*(ids[:-1] if ids and ids[-1] == end else ids), end]) for ids in sources]
    dataset = LanguagePairDataset(tensors, np.array([len(ids) for ids in tensors]), dictionary, shuffle=False)
    return collated(dataset, max_tokens, None)


def collated(dataset: FairseqDataset, max_tokens: int, lines: np.ndarray | None = None) -> Iterator[dict[str, Any]]:
    """Yield fairseq samples of a dataset (or of its `lines`, by number), in its order, at most `max_tokens` each."""
    indices = dataset.ordered_indices()
    if lines is not None:
        indices = indices[np.isin(indices, lines)]
    longest = max((dataset.num_tokens(index) for index in indices), default=1)
    for batch in dataset.batch_by_size(indices, max_tokens=max(max_tokens, longest)):
        yield dataset.collater([dataset[index] for index in batch])
