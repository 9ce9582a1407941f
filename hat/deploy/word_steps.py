"""A language model's step graph, called again and again: what a call keeps of the words before goes to the next."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnxruntime

WORDS_AT_A_TIME = 64  # that are read in one call
Memory = dict  # {input of the graph: array}: keys and values of the words before


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
    """A session of the step graph; `others` are outputs that are asked for beside the log-probabilities."""

    def __init__(self, session: onnxruntime.InferenceSession, others: Sequence[str] = ()) -> None:
        self._session = session
        self.empty = empty_memory(session)
        self._shown = ["log_probabilities", *others]
        self._kept = [f"new_{name}" for name in self.empty]

    def __call__(self, words: Sequence[int], memory: Memory) -> tuple[list[np.ndarray], Memory]:
        """Numbers of words after those that `memory` keeps -> ([log-probabilities of the word after each of them
        (words, vocabulary), the other outputs (words, ...)], the memory for the next call).
        """
        given = {"words": np.array([words], np.int64), **{name: memory[name] for name in self.empty}}
        found = self._session.run(self._shown + self._kept, given)
        count = len(self._shown)
        return [each[0] for each in found[:count]], dict(zip(self.empty, found[count:]))
