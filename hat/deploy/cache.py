"""A language model's neural cache in numpy; hat.elastic.cache says what it computes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np


class Past(NamedTuple):
    """The last `states` (positions, dim), and at `words` (positions,) the word that each of them has just read."""

    states: np.ndarray
    words: np.ndarray


class Cache:
    """Of the last `states` states, with the parameters `theta` and `share`."""

    def __init__(self, states: int, theta: float, share: float) -> None:
        self._states, self._theta, self._share = states, theta, share

    @classmethod
    def of(cls, description: Mapping[str, Any]) -> Cache | None:
        """That of a bundle's description; None if its model has none."""
        found = description.get("cache")
        return None if found is None else cls(found["states"], found["theta"], found["share"])

    def look_up(
        self, log_probabilities: np.ndarray, states: np.ndarray, words: Sequence[int], past: Past | None
    ) -> tuple[np.ndarray, Past]:
        """(log-probabilities with the cache, like those given (time, vocabulary); the Past for what follows).

        `states` (time, dim) are those after each of the `words`.
        """
        read, before = np.array(words, np.int64), 0
        if past is not None:
            before, states = len(past.states), np.concatenate([past.states, states])
            read = np.concatenate([past.words, read])
        mixed = np.stack([self._mixed(row, states, read, at) for at, row in enumerate(log_probabilities, before)])
        return mixed, Past(states[-self._states :], read[-self._states :])

    def _mixed(self, log_probabilities: np.ndarray, states: np.ndarray, read: np.ndarray, at: int) -> np.ndarray:
        """After the position `at`, by the states before it: each was followed by the word read next."""
        first = max(0, at - self._states)
        if first == at:
            return log_probabilities
        scores = self._theta * (states[first:at] @ states[at])
        weights = np.exp(scores - scores.max())
        found = np.bincount(read[first + 1 : at + 1], weights / weights.sum(), len(log_probabilities))
        mixed = self._share * found + (1 - self._share) * np.exp(log_probabilities.astype(np.float64))
        with np.errstate(divide="ignore"):
            return np.log(mixed).astype(np.float32)
