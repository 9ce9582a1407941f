"""Beams: the hypotheses of a batch of sentences, with the semantics of fairseq's SequenceGenerator, in numpy.

Of the best `2 * beam` candidates of a sentence, those that end with </s> among the first `beam` go to its pool, and
the best `beam` others go on. A sentence is finished when its pool holds `beam` hypotheses or its length limit is
reached. Limits are each sentence's own, so a translation doesn't depend on what else is in the batch.
"""

from dataclasses import dataclass

import numpy as np

SHRINK_BELOW = 0.75  # finished sentences leave the batch once no more than this share of it is unfinished


@dataclass
class Hypothesis:
    """`tokens` ends with </s>; `score` is the log-probability over len(tokens) ** lenpen."""

    tokens: list
    score: float


class Beams:
    """All hypotheses of a batch; `advance` takes one step's candidates.

    `limits` holds, for each sentence, the most tokens before </s> (at least one). With `may_end` False </s> is never
    chosen and every sentence goes on to its limit. The rows of a step are sentence * beam + hypothesis; `origins`
    (rows,) says which row of the last step each continues, `last_tokens` (sentences, beam) its last token.
    """

    def __init__(self, limits, beam, lenpen, padding, end_of_sentence, may_end=True):
        sentences = len(limits)
        self.step = 0
        self._beam, self._lenpen = beam, lenpen
        self._padding, self._end, self._may_end = padding, end_of_sentence, may_end
        self._pools = [[] for _ in limits]
        self._sentences = np.arange(sentences)  # which sentence each row group belongs to
        self._limits = np.maximum(limits, 1)
        self._unfinished = np.ones(sentences, bool)
        self._scores = np.full((sentences, beam), -np.inf, np.float32)
        self._scores[:, 0] = 0.0  # all hypotheses are equal at first, so only one counts
        self._tokens = np.full((sentences, beam, self._limits.max() + 1), end_of_sentence, np.int64)
        self.origins = np.arange(sentences * beam)
        self.last_tokens = np.full((sentences, beam), end_of_sentence, np.int64)

    @property
    def finished(self):
        """Whether no sentence needs another step."""
        return not self._unfinished.any()

    def advance(self, scores, tokens, end_scores):
        """Extend the hypotheses by one token.

        scores, tokens (rows, candidates): log-probabilities of each row's best tokens, best first; end_scores
        (rows, 1): that of </s>.
        """
        totals, tokens = self._totals(scores, tokens, end_scores)
        count = tokens.shape[-1]
        order = np.argsort(-totals, axis=1, kind="stable")[:, : 2 * self._beam]
        totals = np.take_along_axis(totals, order, axis=1)
        tokens = np.take_along_axis(tokens.reshape(len(tokens), -1), order, axis=1)
        parents = order // count
        ends = (tokens == self._end) & (totals > -np.inf)
        if ends.any():
            self._collect(totals, parents, ends)
            totals[ends] = -np.inf
            order = np.argsort(ends, axis=1, kind="stable")[:, : self._beam]
            totals, tokens, parents = (np.take_along_axis(x, order, axis=1) for x in (totals, tokens, parents))
        self._continue(totals[:, : self._beam], tokens[:, : self._beam], parents[:, : self._beam])
        if not self._may_end:
            self._unfinished = self.step < self._limits

    def _totals(self, scores, tokens, end_scores):
        """Cumulative scores (sentences, beam * candidates) and tokens (sentences, beam, candidates) allowed now."""
        shape = (len(self._scores), self._beam, -1)
        tokens = tokens.reshape(shape)
        allowed = scores.reshape(shape) + self._scores[:, :, None]
        allowed[tokens == self._padding] = -np.inf
        if self.step == 0 or not self._may_end:
            allowed[tokens == self._end] = -np.inf
        elif (at_limit := np.flatnonzero(self._limits == self.step)).size:
            allowed[at_limit, :, 1:] = -np.inf
            allowed[at_limit, :, 0] = end_scores.reshape(shape)[at_limit, :, 0] + self._scores[at_limit]
            tokens[at_limit, :, 0] = self._end
        return allowed.reshape(len(allowed), -1), tokens

    def _collect(self, totals, parents, ends):
        """Put the candidates that end among the best `beam` into their sentences' pools."""
        length = self.step + 1
        for row, rank in np.argwhere(ends[:, : self._beam]):
            pool = self._pools[self._sentences[row]]
            if len(pool) < self._beam:
                tokens = self._tokens[row, parents[row, rank], :length].tolist()
                tokens[-1] = self._end
                pool.append(Hypothesis(tokens, float(totals[row, rank]) / length**self._lenpen))
        full = np.array([len(self._pools[sentence]) == self._beam for sentence in self._sentences])
        self._unfinished &= ~(full | (self._limits == self.step))

    def _continue(self, scores, tokens, parents):
        groups = np.arange(len(parents))[:, None]
        self._tokens[:, :, : self.step] = self._tokens[groups, parents, : self.step]
        self._tokens[:, :, self.step] = tokens
        self._scores = np.where(self._unfinished[:, None], scores, np.float32(-np.inf))
        self.last_tokens = tokens
        self.origins = (groups * self._beam + parents).ravel()
        self.step += 1

    def shrink(self):
        """Drop finished sentences once they are many; returns the indices that stay, None if all do."""
        count = np.count_nonzero(self._unfinished)
        if count == 0 or count > SHRINK_BELOW * len(self._unfinished):
            return None
        kept = np.flatnonzero(self._unfinished)
        self.origins = self.origins.reshape(-1, self._beam)[kept].ravel()
        for name in ("_sentences", "_limits", "_unfinished", "_scores", "_tokens", "last_tokens"):
            setattr(self, name, getattr(self, name)[kept])
        return kept

    def hypotheses(self):
        """For each sentence its Hypothesis list, best score first."""
        if not self._may_end:
            for row, sentence in enumerate(self._sentences):
                self._pools[sentence] = [
                    Hypothesis(tokens[: self.step].tolist(), float(score) / self.step**self._lenpen)
                    for tokens, score in zip(self._tokens[row], self._scores[row])
                ]
        return [sorted(pool, key=lambda hypothesis: -hypothesis.score) for pool in self._pools]
