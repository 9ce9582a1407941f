"""SearchHistory: makes translations of what a search loop puts out, with the semantics of fairseq's SequenceGenerator.

Of the best candidates of a sentence at a step, those that end with </s> among the first `beam` go to its pool, and the
best `beam` others go on. A sentence is finished when its pool holds `beam` hypotheses or its length limit is reached,
where all of its hypotheses end. Limits are each sentence's own, so a translation doesn't depend on its batch.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from hat.deploy.beams import Hypothesis
from hat.deploy.search_options import SearchOptions


class SearchHistory:
    """All that a batch has chosen so far. `limits`: for each sentence the most tokens before </s>, at least one.

    With `may_end` False </s> is never chosen and every sentence makes as many steps as its limit says.
    """

    def __init__(
        self, limits: Sequence[int], options: SearchOptions, end_of_sentence: int, may_end: bool = True
    ) -> None:
        self.step, self.may_end = 0, may_end
        self._options = options
        self._sentences = [_Sentence(limit, options, end_of_sentence, may_end) for limit in limits]
        self._active = list(self._sentences)  # those that are not finished

    @property
    def unfinished(self) -> int:
        """How many sentences need another step."""
        return len(self._active)

    @property
    def missing(self) -> np.ndarray:
        """How many hypotheses each unfinished sentence still needs, (sentences,) float32."""
        return np.array([self._options.beam - len(sentence.pool) for sentence in self._active], np.float32)

    @property
    def steps_left(self) -> int:
        """The most steps that an unfinished sentence can still make."""
        return max(sentence.limit for sentence in self._active) - self.step + self.may_end

    def add(self, scores: np.ndarray, tokens: np.ndarray, parents: np.ndarray, end_scores: np.ndarray) -> np.ndarray:
        """Take the next steps of the unfinished sentences; returns the indices of those that are unfinished still.

        scores, tokens, parents (steps, sentences, candidates): best candidates first, the log-probabilities of
        hypothesis and token together (-inf: none), and which hypothesis each continues; end_scores (steps, sentences,
        beam): the log-probabilities of </s>.
        """
        kept = []
        for row, sentence in enumerate(self._active):
            steps = [values[:, row].tolist() for values in (scores, tokens, parents, end_scores)]
            if not sentence.follow(zip(*steps)):
                kept.append(row)
        self.step += len(scores)
        self._active = [self._active[row] for row in kept]
        return np.array(kept, np.int64)

    def hypotheses(self) -> list[list[Hypothesis]]:
        """For each sentence its Hypothesis list, best score first."""
        return [sentence.hypotheses(self._options.lenpen) for sentence in self._sentences]


class _Sentence:
    """What went on at each step of one sentence, and its finished hypotheses."""

    def __init__(self, limit: int, options: SearchOptions, end: int, may_end: bool) -> None:
        self.limit, self._beam, self._may_end = limit, options.beam, may_end
        self._min_len, self._end = options.min_len, end
        self._tokens: list[Sequence[int]] = []  # per step, of each hypothesis that went on
        self._parents: list[Sequence[int]] = []  # likewise
        self._scores: Sequence[float] = [0.0] + [float("-inf")] * (
            options.beam - 1
        )  # of each hypothesis that is there now
        self.pool: list[tuple[list[int], float]] = []  # (tokens before </s>, log-probability with it)

    def follow(self, steps: Iterable[tuple[list, ...]]) -> bool:
        """Take the (scores, tokens, parents, end_scores) of more steps; returns whether the sentence is finished."""
        for scores, tokens, parents, end_scores in steps:
            if self._may_end and len(self._tokens) == self.limit:
                self._end_all(end_scores)
                return True
            self._choose(scores, tokens, parents)
            if len(self.pool) == self._beam:
                return True
        return not self._may_end and len(self._tokens) == self.limit

    def _choose(self, scores: Sequence[float], tokens: Sequence[int], parents: Sequence[int]) -> None:
        """The best hypotheses that don't end go on; those that do, and are among the best of all, go to the pool."""
        may_end = self._may_end and len(self._tokens) >= self._min_len
        going: list[tuple[float, int, int]] = []
        rank = 0
        for candidate in zip(scores, tokens, parents):
            score, token, parent = candidate
            if score == float("-inf"):
                continue
            if token != self._end:
                going.append(candidate)
                if len(going) == self._beam:
                    break
            elif may_end and rank < self._beam:
                self._put(parent, score)
            rank += 1
        scores, tokens, parents = zip(*going)
        self._scores = scores
        self._tokens.append(tokens)
        self._parents.append(parents)

    def _end_all(self, end_scores: Sequence[float]) -> None:
        """At the limit all hypotheses end, best first."""
        totals = [score + more for score, more in zip(self._scores, end_scores)]
        for hypothesis in sorted(range(self._beam), key=lambda hypothesis: -totals[hypothesis]):
            self._put(hypothesis, totals[hypothesis])

    def _put(self, hypothesis: int, score: float) -> None:
        if len(self.pool) < self._beam:
            self.pool.append((self._sequence(hypothesis), score))

    def _sequence(self, hypothesis: int) -> list[int]:
        """The tokens of a hypothesis that is there now."""
        found = []
        for tokens, parents in zip(reversed(self._tokens), reversed(self._parents)):
            found.append(tokens[hypothesis])
            hypothesis = parents[hypothesis]
        return found[::-1]

    def hypotheses(self, lenpen: float) -> list[Hypothesis]:
        """Hypothesis list, best score first: the finished ones, or where none may end those that are there now."""
        if self._may_end:
            found = [(tokens + [self._end], score) for tokens, score in self.pool]
        else:
            found = [(self._sequence(hypothesis), score) for hypothesis, score in enumerate(self._scores)]
        scored = [Hypothesis(tokens, score / len(tokens) ** lenpen) for tokens, score in found]
        return sorted(scored, key=lambda hypothesis: -hypothesis.score)
