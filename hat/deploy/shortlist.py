"""Shortlists: the target tokens that a translation of some sentences can have, so that others need no score."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hat.errors import ArtifactError

ARRAYS = ("offsets", "tokens", "common")


class Shortlist:
    """Source token i may become any of tokens[offsets[i] : offsets[i + 1]]; the `common` tokens come with every source.

    offsets (source vocabulary + 1,) and tokens are integer arrays, tokens ascending for each source token.
    """

    def __init__(self, offsets: np.ndarray, tokens: np.ndarray, common: np.ndarray) -> None:
        self._offsets, self._lists, self._common = (np.asarray(part, np.int64) for part in (offsets, tokens, common))

    def tokens(self, sources: Sequence[Sequence[int]]) -> np.ndarray:
        """The target tokens for a batch of sources (lists of ids): ascending int64, none twice."""
        present = np.unique(np.concatenate([np.asarray(source, np.int64) for source in sources]))
        lists = [self._lists[self._offsets[token] : self._offsets[token + 1]] for token in present]
        return np.unique(np.concatenate([self._common, *lists]))

    def save(self, path: Path | str) -> None:
        """Write it to `path`: an .npz of `offsets`, `common`, and `tokens` as differences, which compress well.

        Common tokens are left out of the lists, which they come with anyway. Of the differences all low bytes come
        first, then all high ones, which are mostly zero.
        """
        largest = max(self._lists.max(initial=0), self._common.max(initial=0))
        dtype = np.uint16 if largest < 2**16 else np.uint32
        others = ~np.isin(self._lists, self._common)
        offsets = np.concatenate([[0], np.cumsum(others)])[self._offsets]
        differences = np.diff(self._lists[others], prepend=0).astype(dtype)  # wrap around where a list ends
        planes = differences.astype(differences.dtype.newbyteorder("<")).view(np.uint8)
        planes = np.ascontiguousarray(planes.reshape(-1, differences.itemsize).T)
        arrays = (offsets.astype(np.uint32), planes, self._common.astype(dtype))
        named: dict[str, Any] = dict(zip(ARRAYS, arrays))
        with open(path, "wb") as handle:
            np.savez_compressed(handle, **named)

    @classmethod
    def load(cls, path: Path | str) -> Shortlist:
        """The Shortlist saved at `path`; raises ArtifactError if it is missing or something else."""
        try:
            with np.load(path, allow_pickle=False) as stored:
                offsets, differences, common = (stored[name] for name in ARRAYS)
            if differences.ndim == 2:  # not in earlier files
                differences = np.ascontiguousarray(differences.T).view(f"<u{len(differences)}").ravel()
            tokens = np.cumsum(differences, dtype=differences.dtype)
            if len(offsets) == 0 or offsets[-1] != len(tokens):
                raise ValueError("its lists are incomplete")
        except Exception as error:  # numpy's and zipfile's have no common base
            reason = " ".join(str(error).split())
            raise ArtifactError(f"{path} is not a shortlist ({reason}); export the bundle again") from None
        return cls(offsets, tokens, common)
