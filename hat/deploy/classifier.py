"""Classifier: text in, label out, from a bundle. Needs numpy, onnxruntime and the tokenizer's package, nothing else."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hat.deploy.batching import check_parallel_options, map_in_threads, session_threads, token_batches, windows
from hat.deploy.bundle import open_bundle
from hat.deploy.sessions import Sessions
from hat.deploy.text_encoders import open_text_encoder
from hat.errors import DataError, UsageError

BATCH_TOKENS = 1000
WINDOW = 1000  # texts that a stream reads ahead, for each worker


class Classifier:
    """Classifies with the bundle in folder `bundle`; may be used by several threads at once.

    `workers` batches run at once for each call, each on `threads` threads; a batch holds at most `batch_tokens`
    tokens, padding included. With `accelerator` "cuda" they run on the first NVIDIA GPU, which needs onnxruntime-gpu.

    A text is a str, or a pair of str where the classifier was trained on pairs. One with more tokens than the bundle's
    `max_tokens` is cut; a warning says so.

    Raises ArtifactError for a bundle that is missing, foreign, damaged or of another task, and UsageError for
    impossible options, such as more threads than the machine has cores.
    """

    def __init__(
        self,
        bundle: Path | str,
        threads: int = 1,
        batch_tokens: int = BATCH_TOKENS,
        workers: int = 1,
        accelerator: str = "cpu",
    ) -> None:
        check_parallel_options(threads, workers, batch_tokens)
        self.bundle = open_bundle(bundle, "classification")
        description = self.bundle.description
        self.labels = tuple(description["labels"])
        self._spec, self._limit = description["spec"], description["max_tokens"]
        self._batch_tokens, self._workers = batch_tokens, workers
        self._encoder = open_text_encoder(self.bundle.tokenizer("text"))
        sessions = Sessions(self.bundle.graphs(), session_threads(threads, workers), accelerator)
        self._session = sessions["classifier"]

    def classify(self, texts: Iterable[str | tuple[str, str]]) -> list[tuple[str, float]]:
        """(label, probability) of the likeliest label of each text, in their order."""
        return [self._likeliest(row) for row in self._probabilities(list(_checked(texts)))]

    def probabilities(self, texts: Iterable[str | tuple[str, str]]) -> list[dict[str, float]]:
        """{label: probability} of each text, in their order."""
        return [self._named(row) for row in self._probabilities(list(_checked(texts)))]

    def classify_stream(
        self, texts: Iterable[str | tuple[str, str]], window: int | None = None
    ) -> Iterator[tuple[str, float]]:
        """`classify` of an iterable, with at most `window` texts in memory.

        Reads up to `window` (default: WINDOW for each worker) texts ahead; works only while the next result is asked
        for. When `texts` raises an exception, it is passed on after the results of those before.
        """
        return (self._likeliest(row) for row in self._stream(texts, window))

    def probabilities_stream(
        self, texts: Iterable[str | tuple[str, str]], window: int | None = None
    ) -> Iterator[dict[str, float]]:
        """`probabilities` as `classify_stream` does it."""
        return (self._named(row) for row in self._stream(texts, window))

    def token_ids(self, text: str | tuple[str, str]) -> list[int]:
        """The token ids of a text or a pair, special ones included, cut to the bundle's `max_tokens`."""
        first, second = (text, None) if isinstance(text, str) else text
        ids = self._encoder.encode(first, second, max_tokens=self._limit + 1)
        if len(ids) <= self._limit:
            return ids
        warnings.warn(f"the text {first[:40]!r}... has more than {self._limit} tokens: the rest is cut", stacklevel=2)
        return self._encoder.encode(first, second, max_tokens=self._limit)

    def logits(self, sequences: Sequence[Sequence[int]]) -> np.ndarray:
        """Logits (sequences, labels) float32 of lists of token ids as `token_ids` gives them."""
        batches = token_batches([len(ids) for ids in sequences], self._batch_tokens)

        def run(batch: list[int]) -> np.ndarray:
            inputs = graph_inputs([sequences[index] for index in batch], self._spec)
            return self._session.run(["logits"], inputs)[0]

        logits = np.empty((len(sequences), len(self.labels)), np.float32)
        for batch, found in zip(batches, map_in_threads(run, batches, self._workers)):
            logits[batch] = found
        return logits

    def _stream(self, texts: Iterable[str | tuple[str, str]], window: int | None) -> Iterator[np.ndarray]:
        size = WINDOW * self._workers if window is None else window
        if size < 1:
            raise UsageError(f"window must be at least 1, not {size}")
        return (row for some in windows(_checked(texts), size) for row in self._probabilities(some))

    def _probabilities(self, texts: Sequence[str | tuple[str, str]]) -> Iterable[np.ndarray]:
        """An array (labels,) for each text."""
        if not texts:
            return []
        logits = self.logits([self.token_ids(text) for text in texts]).astype(np.float64)
        odds = np.exp(logits - logits.max(axis=1, keepdims=True))
        return odds / odds.sum(axis=1, keepdims=True)

    def _likeliest(self, row: np.ndarray) -> tuple[str, float]:
        best = int(row.argmax())
        return self.labels[best], float(row[best])

    def _named(self, row: np.ndarray) -> dict[str, float]:
        return dict(zip(self.labels, row.tolist()))


def graph_inputs(sequences: Sequence[Sequence[int]], spec: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """{name: array} for the graph of a classifier with this `spec` (a mapping), of lists of token ids.

    Tokens are padded on the right; where there are segments, they are 1 behind a text's first separator.
    """
    tokens = np.full((len(sequences), max(map(len, sequences))), spec["padding"], np.int64)
    segments = np.zeros_like(tokens)
    for row, ids in enumerate(sequences):
        tokens[row, : len(ids)] = ids
        segments[row, ids.index(spec["separator"]) + 1 : len(ids)] = 1
    return {"tokens": tokens, "segments": segments} if spec["segments"] > 1 else {"tokens": tokens}


def _checked(texts: Iterable[str | tuple[str, str]]) -> Iterator[str | tuple[str, str]]:
    """Iterator over `texts`; raises TypeError for what is no text or pair, DataError for what is blank."""
    if isinstance(texts, str):
        raise TypeError("texts are several strings, not one string")
    return (_checked_text(number, text) for number, text in enumerate(texts, start=1))


def _checked_text(number: int, text: str | tuple[str, str]) -> str | tuple[str, str]:
    parts = (text, text) if isinstance(text, str) else tuple(text)
    if len(parts) != 2 or not all(isinstance(part, str) for part in parts):
        raise TypeError("a text must be a str or a pair of str")
    if not all(part.strip() for part in parts):
        raise DataError(f"text {number} is blank; leave it out")
    return text
