"""A language model's step graph, called again and again: what a call keeps of the words before goes to the next."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnxruntime

from hat.deploy.cache import Cache

WORDS_AT_A_TIME = 64  # that are read in one call
Memory = dict  # {input of the graph: array}: keys and values of the words before; by PAST what a cache keeps of them
PAST = "past"


def in_parts(words: Sequence[int]) -> list[Sequence[int]]:
    """`words`, cut into what is read in one call each."""
    return [words[start : start + WORDS_AT_A_TIME] for start in range(0, len(words), WORDS_AT_A_TIME)]


def empty_memory(session: onnxruntime.InferenceSession) -> Memory:
    """What a session of the step graph keeps before the first word."""
    return {
        value.name: np.zeros((1, value.shape[1], 0, value.shape[3]), np.float32)
        for value in session.get_inputs()
        if value.name.startswith(("key.", "value."))
    }


class WordSteps:
    """A session of the step graph, and the Cache that its log-probabilities are mixed with, if there is one."""

    def __init__(self, session: onnxruntime.InferenceSession, cache: Cache | None = None) -> None:
        self._session, self._cache = session, cache
        self.empty = empty_memory(session)
        shown = ["log_probabilities"] if cache is None else ["log_probabilities", "features"]
        self._asked = [*shown, *(f"new_{name}" for name in self.empty)]

    def __call__(self, words: Sequence[int], memory: Memory) -> tuple[np.ndarray, Memory]:
        """Numbers of words after those that `memory` keeps -> log-probabilities of the word after each of them (words,
        vocabulary), and the memory for the next call.
        """
        given = {"words": np.array([words], np.int64), **{name: memory[name] for name in self.empty}}
        found = dict(zip(self._asked, self._session.run(self._asked, given)))
        log_probabilities, kept = found["log_probabilities"][0], {name: found[f"new_{name}"] for name in self.empty}
        if self._cache is None:
            return log_probabilities, kept
        mixed, past = self._cache.look_up(log_probabilities, found["features"][0], words, memory.get(PAST))
        return mixed, {**kept, PAST: past}
