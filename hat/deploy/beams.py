"""Beams: the hypotheses of a batch of sentences, with the semantics of fairseq's SequenceGenerator, in numpy.

Of the best `2 * beam` candidates of a sentence, those that end with </s> among the first `beam` go to its pool, and
the best `beam` others go on. A sentence is finished when its pool holds `beam` hypotheses or its length limit is
reached. Limits are each sentence's own, so a translation doesn't depend on what else is in the batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hat.deploy.search_options import SearchOptions
from hat.errors import UsageError

SHRINK_BELOW = 0.75  # finished sentences leave the batch once no more than this share of it is unfinished


@dataclass
class Hypothesis:
    """`tokens` ends with </s>; `score` is the log-probability over len(tokens) ** lenpen."""

    tokens: list
    score: float


class Beams:
    """All hypotheses of a batch; `advance` takes one step's candidates.

    `limits` holds, for each sentence, the most tokens before </s>; `prefixes`, the tokens that its hypotheses must
    begin with. With `may_end` False </s> is never chosen and every sentence goes on to its limit, which is at least
    one. The rows of a step are sentence * beam + hypothesis; `origins` (rows,) says which row of the last step each
    continues, `last_tokens` (sentences, beam) its last token.
    """

    def __init__(
        self,
        limits: Sequence[int],
        options: SearchOptions,
        padding: int,
        end_of_sentence: int,
        unknown: int,
        prefixes: Sequence[Sequence[int]] | None = None,
        may_end: bool = True,
    ) -> None:
        sentences, beam = len(limits), options.beam
        self.step = 0
        self._options, self._beam = options, beam
        self._padding, self._end, self._unknown = padding, end_of_sentence, unknown
        self._may_end = may_end
        self._pools: list[list[Hypothesis]] = [[] for _ in limits]
        self._sentences = np.arange(sentences)  # which sentence each row group belongs to
        self._limits = np.asarray(limits)
        self._unfinished = np.ones(sentences, bool)
        self._scores = np.full((sentences, beam), -np.inf, np.float32)
        self._scores[:, 0] = 0.0  # all hypotheses are equal at first, so only one counts
        self._tokens = np.full((sentences, beam, self._limits.max() + 1), end_of_sentence, np.int64)
        self._prefixes = _padded(prefixes or [[]] * sentences, padding)
        self._banned = np.empty((sentences, beam, 0), np.int64)
        self.origins = np.arange(sentences * beam)
        self.last_tokens = np.full((sentences, beam), end_of_sentence, np.int64)

    @property
    def finished(self) -> bool:
        """Whether no sentence needs another step."""
        return not self._unfinished.any()

    @property
    def candidates(self) -> int:
        """How many of a row's best tokens the next step must give: those that may not be chosen come on top."""
        special = 3  # padding, </s> and the unknown token: if they count, they come from `wanted_tokens`
        return 2 * self._beam + special + (self._banned != self._padding).sum(axis=-1).max()

    @property
    def wanted_tokens(self) -> np.ndarray:
        """(rows, 3): tokens whose scores the next step must give, however bad: </s>, unknown, forced (else </s>)."""
        forced = self._forced_tokens()
        wanted = np.empty((*self._scores.shape, 3), np.int64)
        wanted[:, :, 0], wanted[:, :, 1] = self._end, self._unknown
        wanted[:, :, 2] = np.where(forced == self._padding, self._end, forced)[:, None]
        return wanted.reshape(-1, 3)

    def _forced_tokens(self) -> np.ndarray:
        """For each sentence the token that its prefix has at this step; padding where none is forced."""
        if self.step >= self._prefixes.shape[1]:
            return np.full(len(self._prefixes), self._padding)
        return np.where(self.step < self._limits, self._prefixes[:, self.step], self._padding)

    def advance(self, scores: np.ndarray, tokens: np.ndarray, wanted_scores: np.ndarray) -> None:
        """Extend the hypotheses by one token.

        scores, tokens (rows, candidates): log-probabilities of each row's best tokens, best first; wanted_scores
        (rows, 3): those of `wanted_tokens`. Neither is changed.
        """
        shape = (*self._scores.shape, -1)
        wanted = self.wanted_tokens.reshape(shape)
        tokens = tokens.reshape(shape)
        ordinary = np.where(self._are_ordinary(tokens), scores.reshape(shape), np.float32(-np.inf))
        allowed = np.concatenate([ordinary, self._wanted_scores(wanted, wanted_scores.reshape(shape))], axis=2)
        self._restrict(allowed)
        totals = allowed + self._scores[:, :, None]
        self._choose(totals, np.concatenate([tokens, wanted], axis=2))
        if not self._may_end:
            self._unfinished = self.step < self._limits

    def _are_ordinary(self, tokens: np.ndarray) -> np.ndarray:
        """Which of `tokens` (sentences, beam, candidates) are neither special nor banned."""
        special = np.isin(tokens, [self._padding, self._end, self._unknown])
        return ~special & ~(tokens[..., None] == self._banned[:, :, None]).any(axis=-1)

    def _wanted_scores(self, wanted: np.ndarray, scores: np.ndarray) -> np.ndarray:
        """`scores` (sentences, beam, 3) of </s>, unknown and forced token as the options change them."""
        scores = np.where(wanted == self._unknown, scores - np.float32(self._options.unk_penalty), scores)
        unknown_banned = (self._banned == self._unknown).any(axis=-1)
        scores[:, :, 1] = np.where(unknown_banned, -np.inf, scores[:, :, 1])
        if self.step < self._options.min_len or not self._may_end:
            scores[:, :, 0] = -np.inf
        return scores

    def _restrict(self, allowed: np.ndarray) -> None:
        """Leave only forced tokens where a prefix lasts, none of them elsewhere, and only </s> at the limit.

        allowed (sentences, beam, candidates + 3), the wanted tokens last, is changed in place. Where a prefix has
        </s>, all hypotheses of the sentence become the first, so that they end together.
        """
        forced = self._forced_tokens()
        lasts = forced != self._padding
        allowed[lasts, :, :-1] = -np.inf
        allowed[~lasts, :, -1] = -np.inf
        ends = forced == self._end
        for values in (allowed, self._scores, self._tokens):
            values[ends] = values[ends, :1]
        if self._may_end:
            at_limit = self._limits == self.step
            end_scores = allowed[at_limit, :, -3]
            allowed[at_limit] = -np.inf
            allowed[at_limit, :, -3] = end_scores

    def _choose(self, totals: np.ndarray, tokens: np.ndarray) -> None:
        """Put the best of all candidates (sentences, beam, candidates) into the pools or among the hypotheses."""
        count = tokens.shape[-1]
        totals, tokens = totals.reshape(len(totals), -1), tokens.reshape(len(tokens), -1)
        order = np.argsort(-totals, axis=1, kind="stable")[:, : 2 * self._beam]
        totals, tokens = (np.take_along_axis(values, order, axis=1) for values in (totals, tokens))
        parents = order // count
        ends = (tokens == self._end) & (totals > -np.inf)
        if self._may_end:
            self._collect(totals, parents, ends)
        totals[ends] = -np.inf
        order = np.argsort(ends, axis=1, kind="stable")[:, : self._beam]
        self._continue(*(np.take_along_axis(values, order, axis=1) for values in (totals, tokens, parents)))

    def _collect(self, totals: np.ndarray, parents: np.ndarray, ends: np.ndarray) -> None:
        """Put the candidates that end among the best `beam` into their sentences' pools."""
        length = self.step + 1
        for row, rank in np.argwhere(ends[:, : self._beam]):
            pool = self._pools[self._sentences[row]]
            if len(pool) < self._beam:
                tokens = self._tokens[row, parents[row, rank], :length].tolist()
                tokens[-1] = self._end
                pool.append(Hypothesis(tokens, float(totals[row, rank]) / length**self._options.lenpen))
        full = np.array([len(self._pools[sentence]) == self._beam for sentence in self._sentences])
        self._unfinished &= ~(full | (self._limits == self.step))

    def _continue(self, scores: np.ndarray, tokens: np.ndarray, parents: np.ndarray) -> None:
        groups = np.arange(len(parents))[:, None]
        self._tokens[:, :, : self.step] = self._tokens[groups, parents, : self.step]
        self._tokens[:, :, self.step] = tokens
        self._scores = np.where(self._unfinished[:, None], scores, np.float32(-np.inf))
        self.last_tokens = tokens
        self.origins = (groups * self._beam + parents).ravel()
        self.step += 1
        if self._options.no_repeat_ngram:
            self._banned = _repeating(self._tokens[:, :, : self.step], self._options.no_repeat_ngram, self._padding)

    def shrink(self) -> np.ndarray | None:
        """Drop finished sentences once they are many; returns the indices that stay, None if all do."""
        count = np.count_nonzero(self._unfinished)
        if count == 0 or count > SHRINK_BELOW * len(self._unfinished):
            return None
        kept = np.flatnonzero(self._unfinished)
        self.origins = self.origins.reshape(-1, self._beam)[kept].ravel()
        names = ("_sentences", "_limits", "_unfinished", "_scores", "_tokens", "_prefixes", "_banned", "last_tokens")
        for name in names:
            setattr(self, name, getattr(self, name)[kept])
        return kept

    def hypotheses(self) -> list[list[Hypothesis]]:
        """For each sentence its Hypothesis list, best score first.

        Raises UsageError if a sentence has none, which takes a `min_len` that no sequence without repeats reaches.
        """
        if not self._may_end:
            for row, sentence in enumerate(self._sentences):
                self._pools[sentence] = [
                    Hypothesis(tokens[: self.step].tolist(), float(score) / self.step**self._options.lenpen)
                    for tokens, score in zip(self._tokens[row], self._scores[row])
                ]
        if not all(self._pools):
            raise UsageError(
                f"no translation of min_len {self._options.min_len} tokens was found with no_repeat_ngram "
                f"{self._options.no_repeat_ngram}; lower min_len or raise no_repeat_ngram"
            )
        return [sorted(pool, key=lambda hypothesis: -hypothesis.score) for pool in self._pools]


def _padded(prefixes: Sequence[Sequence[int]], padding: int) -> np.ndarray:
    """Lists of tokens as an array (sentences, longest)."""
    array = np.full((len(prefixes), max(map(len, prefixes))), padding, np.int64)
    for row, prefix in enumerate(prefixes):
        array[row, : len(prefix)] = prefix
    return array


def _repeating(histories: np.ndarray, size: int, padding: int) -> np.ndarray:
    """The tokens that would make a `size`-gram of `histories` (sentences, beam, steps) come again after them.

    (sentences, beam, at most steps), filled up with `padding`.
    """
    steps = histories.shape[-1]
    if steps < size:
        return np.empty((*histories.shape[:2], 0), np.int64)
    ngrams = np.lib.stride_tricks.sliding_window_view(histories, size, axis=-1)
    last = histories[:, :, None, steps - size + 1 :]
    return np.where((ngrams[..., :-1] == last).all(axis=-1), ngrams[..., -1], padding)
