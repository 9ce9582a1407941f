"""Translator: text in, text out, from a bundle. Needs numpy, onnxruntime and sentencepiece, nothing else."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from hat.deploy.batching import (
    Pool,
    check_parallel_options,
    map_in_threads,
    session_threads,
    token_batches,
    windows,
)
from hat.deploy.beam_search import BeamSearch
from hat.deploy.beams import Hypothesis
from hat.deploy.bundle import open_bundle
from hat.deploy.search_options import bundle_options
from hat.deploy.sessions import Sessions, may_overflow
from hat.deploy.shortlist import Shortlist
from hat.deploy.tokenizers import Tokenizers
from hat.errors import DataError, UsageError

BATCH_TOKENS = 1000
WINDOW = 1000  # sentences that a stream reads ahead, for each worker
MISSING = object()


class Translator:
    """Translates with the bundle in folder `bundle`; may be used by several threads at once.

    `workers` searches run at once for each call, each on `threads` threads; a batch holds at most `batch_tokens`
    source tokens, padding included. With `accelerator` "cuda" searches run on the first NVIDIA GPU, which needs
    onnxruntime-gpu. `beam` and the other `search_options` (see SearchOptions) replace the bundle's;
    `shortlist` limits the vocabulary to the tokens that the bundle's shortlist has for the sources of a batch, which
    is faster; a translation may then depend on what else is in its batch. On x86 processors without VNNI, int8 bundles
    of earlier versions search step by step, without a shortlist: their products would overflow in the faster graphs.

    Raises ArtifactError for a bundle that is missing, foreign or damaged, and UsageError for impossible options, such
    as more threads than the machine has cores.
    """

    def __init__(
        self,
        bundle: Path | str,
        threads: int = 1,
        beam: int | None = None,
        batch_tokens: int = BATCH_TOKENS,
        workers: int = 1,
        shortlist: bool = False,
        accelerator: str = "cpu",
        **search_options: Any,
    ) -> None:
        check_parallel_options(threads, workers, batch_tokens)
        self.bundle = open_bundle(bundle, "translation")
        self.options = bundle_options(self.bundle, beam=beam, **search_options)
        self._batch_tokens, self._workers = batch_tokens, workers
        self._tokenizers = Tokenizers(self.bundle)
        sessions = Sessions(self.bundle.graphs(), session_threads(threads, workers), accelerator)
        spec = self.bundle.description["spec"]
        is_int8 = self.bundle.description["precision"] == "int8"
        is_exact = not is_int8 or accelerator != "cpu" or not may_overflow(self.bundle.graphs()["step"])
        self._new_search = lambda: BeamSearch(sessions, spec["padding"], spec["end_of_sentence"], loops=is_exact)
        self._searches = Pool(self._new_search)
        with self._searches.borrowed():
            pass  # so that a bundle that can't be run is told now
        self._shortlist = self._load_shortlist() if shortlist else None
        if not is_exact:  # it saves time only, and the search by steps has none
            self._shortlist = None

    def _load_shortlist(self) -> Shortlist:
        path = self.bundle.shortlist
        if path is None:
            raise UsageError(f"{self.bundle.path} has no shortlist; leave it out or export the bundle with one")
        return Shortlist.load(path)

    @property
    def beam_search(self) -> BeamSearch:
        """A BeamSearch of this bundle, for the caller alone."""
        return self._new_search()

    def translate(self, sentences: Iterable[str], prefixes: Iterable[str] | None = None) -> list[str]:
        """Translations in the order of `sentences` (list of str, one line each).

        Blank sentences stay empty. One with more tokens than the bundle's `max_source_tokens` is split between words,
        its parts are translated by themselves and joined; a warning says so. `prefixes` (list of str, "" for none)
        are the beginnings that the translations must have.
        """
        return [nbest[0][0] for nbest in self.translate_nbest(sentences, 1, prefixes)]

    def translate_nbest(
        self, sentences: Iterable[str], n: int, prefixes: Iterable[str] | None = None
    ) -> list[list[tuple[str, float]]]:
        """For each sentence its `n` best translations, best first, as (text, score); `n` is the beam at most.

        The score is the length-normalised log-probability. A blank sentence has `n` empty translations of score 0. Of a
        sentence translated in parts, the i-th best of each are joined, and their scores averaged.
        """
        pairs = list(_paired(sentences, prefixes))
        return self._translate_window(pairs, self._checked(n))

    def translate_stream(
        self, sentences: Iterable[str], prefixes: Iterable[str] | None = None, window: int | None = None
    ) -> Iterator[str]:
        """Translations of an iterable of str, in its order, with at most `window` of them in memory.

        Reads up to `window` (default: WINDOW for each worker) sentences ahead; works only while the next translation
        is asked for. When `sentences` raises an exception, it is passed on after the translations of those before.
        """
        return (nbest[0][0] for nbest in self.stream_nbest(sentences, 1, prefixes, window))

    def stream_nbest(
        self, sentences: Iterable[str], n: int, prefixes: Iterable[str] | None = None, window: int | None = None
    ) -> Iterator[list[tuple[str, float]]]:
        """`translate_nbest` as `translate_stream` does it."""
        pairs, n = _paired(sentences, prefixes), self._checked(n)
        size = WINDOW * self._workers if window is None else window
        if size < 1:
            raise UsageError(f"window must be at least 1, not {size}")
        return (nbest for pairs in windows(pairs, size) for nbest in self._translate_window(pairs, n))

    def _checked(self, n: int) -> int:
        if not 1 <= n <= self.options.beam:
            raise UsageError(f"n-best of {n} is impossible with a beam of {self.options.beam}; ask for 1 to that many")
        return n

    def _translate_window(self, pairs: Sequence[tuple[str, str]], n: int) -> list[list[tuple[str, float]]]:
        """[(text, score)] of length `n` for each (sentence, prefix)."""
        sources: list[list[int]] = []
        prefixes: list[list[int]] = []
        owners: list[int] = []
        for index, (sentence, prefix) in enumerate(pairs):
            parts = self._tokenizers.parts(sentence)
            sources += parts
            prefixes += [self._tokenizers.prefix(prefix) if at == 0 else [] for at in range(len(parts))]
            owners += [index] * len(parts)
        found: list[list[list[Hypothesis]]] = [[] for _ in pairs]
        for owner, hypotheses in zip(owners, self.translate_ids(sources, prefixes if any(prefixes) else None)):
            found[owner].append(hypotheses)
        return [self._joined(parts, n) for parts in found]

    def _joined(self, parts: Sequence[Sequence[Hypothesis]], n: int) -> list[tuple[str, float]]:
        """The n best (text, score) of one sentence from the hypotheses of its parts."""
        if not parts:
            return [("", 0.0)] * n
        nbest = []
        for hypotheses in itertools.islice(zip(*parts), n):
            text = " ".join(self._tokenizers.text(hypothesis.tokens) for hypothesis in hypotheses)
            nbest.append((text, sum(hypothesis.score for hypothesis in hypotheses) / len(hypotheses)))
        return nbest

    def translate_ids(
        self, sources: Sequence[Sequence[int]], prefixes: Sequence[Sequence[int]] | None = None
    ) -> list[list[Hypothesis]]:
        """All hypotheses, best first, of token ids that end with </s>, in their order.

        `prefixes` holds for each source the ids that its hypotheses must begin with.
        """
        batches = token_batches([len(source) for source in sources], self._batch_tokens)

        def search(batch: list[int]) -> list[list[Hypothesis]]:
            chosen = [sources[index] for index in batch]
            forced = None if prefixes is None else [prefixes[index] for index in batch]
            tokens = None if self._shortlist is None else self._shortlist.tokens(chosen)
            with self._searches.borrowed() as beam_search:
                return beam_search.search(chosen, self.options, prefixes=forced, shortlist=tokens)

        hypotheses: list[Any] = [None] * len(sources)
        for batch, found in zip(batches, map_in_threads(search, batches, self._workers)):
            for index, sentence_hypotheses in zip(batch, found):
                hypotheses[index] = sentence_hypotheses
        return hypotheses


def _paired(sentences: Iterable[str], prefixes: Iterable[str] | None) -> Iterator[tuple[str, str]]:
    """Iterator of (sentence, prefix), "" for no prefix; raises DataError if one of the two has fewer."""
    for value in (sentences, prefixes):
        if isinstance(value, str):
            raise TypeError("sentences and prefixes are several strings each, not one string")
    if prefixes is None:
        return ((sentence, "") for sentence in sentences)
    return _zipped(sentences, prefixes)


def _zipped(sentences: Iterable[str], prefixes: Iterable[str]) -> Iterator[tuple[str, str]]:
    pairs: Iterator[tuple[Any, Any]] = itertools.zip_longest(sentences, prefixes, fillvalue=MISSING)
    for number, (sentence, prefix) in enumerate(pairs, start=1):
        if sentence is MISSING or prefix is MISSING:
            fewer, more = ("sentences", "prefixes") if sentence is MISSING else ("prefixes", "sentences")
            raise DataError(f"only {number - 1} {fewer} for more {more}; give one prefix a sentence, empty for none")
        yield sentence, prefix
