"""LanguageModel: text in, its probability or more text out, from a bundle. Needs numpy and onnxruntime alone."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from hat.deploy.batching import check_parallel_options
from hat.deploy.bundle import open_bundle
from hat.deploy.cache import Cache
from hat.deploy.sessions import Sessions
from hat.deploy.word_steps import Memory, WordSteps, in_parts
from hat.deploy.words import Vocabulary
from hat.errors import ArtifactError, DataError, UsageError


class LineScore(NamedTuple):
    """What a line costs: its log-probability in nats over `words`, its end among them, of which some are unknown."""

    log_probability: float
    words: int
    unknown: int

    @property
    def perplexity(self) -> float:
        """exp of the negative log-probability a word."""
        return math.exp(-self.log_probability / self.words)


class LanguageModel:
    """Reads and writes text with the bundle in folder `bundle`, on `threads` threads.

    Words are what spaces part; those that aren't in the vocabulary are read as <unk>. A bundle with a SentencePiece
    model reads and writes pieces of words, but scores words. With `accelerator` "cuda" it
    runs on the first NVIDIA GPU, which needs onnxruntime-gpu. Raises ArtifactError for a bundle that is missing,
    foreign, damaged or of another task, or whose words aren't its graph's; UsageError for impossible options.
    """

    def __init__(self, bundle: Path | str, threads: int = 1, accelerator: str = "cpu") -> None:
        check_parallel_options(threads, 1, 1)
        self.bundle = open_bundle(bundle, "language_modeling")
        spec = self.bundle.description["spec"]
        self.vocabulary = Vocabulary.load(self.bundle.tokenizer("words"))
        own = (len(self.vocabulary), self.vocabulary.end_of_line, self.vocabulary.unknown)
        if own != (spec["vocabulary"], spec["end_of_line"], spec["unknown"]):
            raise ArtifactError(
                f"{self.bundle.tokenizer('words')} has other words than the model, {own[0]} instead of "
                f"{spec['vocabulary']} or in another order; export it again with hat-export"
            )
        session = Sessions(self.bundle.graphs(), threads, accelerator)["step"]
        self._steps = WordSteps(session, Cache.of(self.bundle.description))

    def score(self, lines: Iterable[str]) -> list[LineScore]:
        """The LineScore of each line of a running text, every word seen after all before it.

        Raises DataError for a line without a word.
        """
        return list(self.score_stream(lines))

    def score_stream(self, lines: Iterable[str]) -> Iterator[LineScore]:
        """`score`, line by line as they come."""
        memory, before = self._steps.empty, self.vocabulary.end_of_line
        for number, line in enumerate(_checked(lines), start=1):
            words = [*self.vocabulary.encode(line), self.vocabulary.end_of_line]
            if len(words) == 1:
                raise DataError(f"line {number} is blank; leave it out")
            total = 0.0
            for part in in_parts(words):
                found, memory = self.step([before, *part[:-1]], memory)
                total += float(found[np.arange(len(part)), part].sum(dtype=np.float64))
                before = part[-1]
            named = line.split()
            yield LineScore(total, len(named) + 1, self.vocabulary.unknown_in(named))

    def generate(self, prompt: str = "", words: int = 50, temperature: float = 1.0, seed: int | None = None) -> str:
        """`words` words after those of `prompt`, a line's end being a line feed; the same ones for the same `seed`.

        Drawn from the probabilities to the power of 1 / `temperature`; at 0 the likeliest each time. <unk> is never
        drawn. Raises UsageError for impossible options.
        """
        if words < 1 or not 0 <= temperature < math.inf:
            raise UsageError(f"words must be 1 or more and temperature 0 or more, not {words} and {temperature:g}")
        if seed is not None and seed < 0:
            raise UsageError(f"seed must be 0 or more, not {seed}")
        rng = np.random.default_rng(seed)
        read = [self.vocabulary.end_of_line, *self.vocabulary.encode(prompt)]
        memory, drawn = self._steps.empty, []
        for _ in range(words):
            for part in in_parts(read):
                found, memory = self.step(part, memory)
            read = [self._drawn(found[-1], temperature, rng)]
            drawn += read
        return self.vocabulary.text(drawn)

    def step(self, words: Sequence[int], memory: Memory | None = None) -> tuple[np.ndarray, Memory]:
        """Numbers of words after those that `memory` keeps (None: none) -> log-probabilities of the word after each of
        them (words, vocabulary), and the memory for the next step.
        """
        return self._steps(words, self._steps.empty if memory is None else memory)

    def _drawn(self, log_probabilities: np.ndarray, temperature: float, rng: np.random.Generator) -> int:
        scores = log_probabilities.copy()
        scores[self.vocabulary.unknown] = -np.inf
        likeliest = scores.argmax()
        if temperature == 0:
            return int(likeliest)
        differences = (scores - scores[likeliest]).astype(np.float64)  # which any temperature divides without NaN
        sums = np.cumsum(np.exp(differences / temperature))
        return int(np.searchsorted(sums, rng.random() * sums[-1], side="right"))  # rng.choice, in half its time


def _checked(lines: Iterable[str]) -> Iterable[str]:
    """`lines`; raises TypeError for a text that isn't parted into them."""
    if isinstance(lines, str):
        raise TypeError("lines are several strings, not one string")
    return lines
