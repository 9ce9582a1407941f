"""fairseq's dictionary and binarised splits, as `fairseq-preprocess` names them: plain fairseq-train reads them."""

import contextlib
import itertools
import struct
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from fairseq.data import Dictionary, indexed_dataset

from hat import files
from hat.data.tokenizer import END_OF_SENTENCE

TOKENS_AT_A_TIME = 2**24


def write_dictionary(path: Path, pieces: Sequence[str], counts: np.ndarray) -> None:
    """Write dict.<lang>.txt: the pieces after the special symbols, which fairseq adds itself, each with its count.

    pieces: all of the vocabulary in id order; counts: array of their counts.
    """
    special = Dictionary().nspecial
    lines = [f"{piece} {counts[index]}\n" for index, piece in enumerate(pieces) if index >= special]
    files.write_text(path, "".join(lines))


@contextlib.contextmanager
def binarised_text(
    directory: Path | str, split: str, source_lang: str, target_lang: str, lang: str, vocabulary_size: int
) -> "Iterator[BinarisedText]":
    """Yield a BinarisedText for one side of one split: `<split>.<src>-<tgt>.<lang>.bin` and `.idx`.

    The files are there, complete, when the block has ended without an error.
    """
    prefix = _prefix(directory, split, source_lang, target_lang, lang)
    with _binarised(BinarisedText, prefix, vocabulary_size) as text:
        yield text


def binarised_sequences(
    prefix: Path | str, vocabulary_size: int
) -> "contextlib.AbstractContextManager[BinarisedSequences]":
    """The context of a BinarisedSequences: `<prefix>.bin` and `.idx` are there, complete, when it ends well."""
    return _binarised(BinarisedSequences, str(prefix), vocabulary_size)


def read_sequences(prefix: Path | str) -> indexed_dataset.MMapIndexedDataset:
    """What `binarised_sequences` wrote, mapped into memory: tensors (length,) of int64 by number; `sizes` in tokens."""
    dataset = indexed_dataset.MMapIndexedDataset(str(prefix))
    dataset._index._sizes = dataset.sizes.copy()  # fairseq's own are gone, with their memory, when the dataset is
    return dataset


@contextlib.contextmanager
def _binarised(cls: Any, prefix: str, vocabulary_size: int) -> Iterator[Any]:
    kind = indexed_dataset.best_fitting_int_dtype(vocabulary_size)
    with files.replacing(indexed_dataset.data_file_path(prefix)) as temporary, open(temporary, "wb") as handle:
        text = cls(handle, kind)
        yield text
    with files.replacing(indexed_dataset.index_file_path(prefix)) as temporary, open(temporary, "wb") as handle:
        _write_index(handle, kind, np.concatenate([np.empty(0, np.int32), *text.sizes]))


class BinarisedSequences:
    """Appends sequences to a file of token ids; `sizes` is a list of arrays of their lengths."""

    def __init__(self, handle: BinaryIO, kind: type) -> None:
        self._handle, self._kind = handle, kind
        self.sizes: list[np.ndarray] = []

    def add(self, sequences: Sequence[Sequence[int]]) -> None:
        """Append sequences, lists of token ids, as they are."""
        self._append(*self._flat(sequences))

    def _flat(self, sequences: Sequence[Sequence[int]]) -> tuple[np.ndarray, np.ndarray]:
        """(all ids, lengths)"""
        sizes = np.fromiter(map(len, sequences), np.int32, len(sequences))
        return np.fromiter(itertools.chain.from_iterable(sequences), self._kind, sizes.sum()), sizes

    def _append(self, ids: np.ndarray, sizes: np.ndarray) -> None:
        self._handle.write(ids.tobytes())
        self.sizes.append(sizes)


class BinarisedText(BinarisedSequences):
    """Appends sentences, each with </s> at its end."""

    def add(self, sentences: Sequence[Sequence[int]]) -> None:
        """Append sentences, lists of token ids without </s>."""
        ids, sizes = self._flat(sentences)
        self._append(np.insert(ids, np.cumsum(sizes), END_OF_SENTENCE), sizes + 1)


def _write_index(handle: BinaryIO, kind: type, sizes: np.ndarray) -> None:
    """fairseq's index of a memory-mapped dataset: sizes in tokens and places in bytes, without its lists of numbers."""
    width = np.dtype(kind).itemsize
    handle.write(indexed_dataset.MMapIndexedDataset.Index._HDR_MAGIC)
    handle.write(struct.pack("<QBQ", 1, indexed_dataset._dtype_header_code(kind), len(sizes)))
    handle.write(sizes.tobytes())
    handle.write(((np.cumsum(sizes, dtype=np.int64) - sizes) * width).tobytes())


def token_counts(
    directory: Path | str, split: str, source_lang: str, target_lang: str, lang: str, vocabulary_size: int
) -> np.ndarray:
    """How often each token occurs in one side of a binarised split: (vocabulary_size,)."""
    path = indexed_dataset.data_file_path(_prefix(directory, split, source_lang, target_lang, lang))
    counts = np.zeros(vocabulary_size, np.int64)
    with open(path, "rb") as handle:
        kind = indexed_dataset.best_fitting_int_dtype(vocabulary_size)
        while len(ids := np.fromfile(handle, kind, TOKENS_AT_A_TIME)):
            counts += np.bincount(ids, minlength=vocabulary_size)
    return counts


def _prefix(directory: Path | str, split: str, source_lang: str, target_lang: str, lang: str) -> str:
    return str(Path(directory) / f"{split}.{source_lang}-{target_lang}.{lang}")
