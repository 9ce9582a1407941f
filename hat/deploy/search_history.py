"""SearchHistory: makes translations of what a search loop puts out, with the semantics of fairseq's SequenceGenerator.

Of the best candidates of a sentence at a step, those that end with </s> among the first `beam` go to its pool, and the
best `beam` others go on. A sentence is finished when its pool holds `beam` hypotheses or its length limit is reached,
where all of its hypotheses end. Limits are each sentence's own, so a translation doesn't depend on its batch.
"""

import numpy as np

from hat.deploy.beams import Hypothesis


class SearchHistory:
    """All that a batch has chosen so far. `limits`: for each sentence the most tokens before </s>, at least one.

    With `may_end` False </s> is never chosen and every sentence makes as many steps as its limit says.
    """

    def __init__(self, limits, options, end_of_sentence, may_end=True):
        self.step, self.may_end = 0, may_end
        self._options, self._end = options, end_of_sentence
        self._sentences = [_Sentence(limit, options.beam) for limit in limits]
        self._active = list(self._sentences)  # those that are not finished

    @property
    def unfinished(self):
        """How many sentences need another step."""
        return len(self._active)

    @property
    def missing(self):
        """How many hypotheses each unfinished sentence still needs, (sentences,) float32."""
        return np.array([self._options.beam - len(sentence.pool) for sentence in self._active], np.float32)

    @property
    def steps_left(self):
        """The most steps that an unfinished sentence can still make."""
        return max(sentence.limit for sentence in self._active) - self.step + self.may_end

    def add(self, scores, tokens, parents, end_scores):
        """Take the next steps of the unfinished sentences; returns the indices of those that are unfinished still.

        scores, tokens, parents (steps, sentences, candidates): best candidates first, the log-probabilities of
        hypothesis and token together, and which hypothesis each continues; end_scores (steps, sentences, beam): the
        log-probabilities of </s>.
        """
        beam = self._options.beam
        ends = tokens == self._end
        steps, sentences = np.ogrid[: len(tokens), : len(self._active)]
        going = steps[..., None], sentences[..., None], np.argsort(ends, axis=-1, kind="stable")[..., :beam]
        chosen = [values[going].tolist() for values in (tokens, parents, scores)]
        for row, sentence in enumerate(self._active):
            sentence.extend(*([step[row] for step in values] for values in chosen))
        if self.may_end:
            self._end_hypotheses(scores, parents, ends[..., :beam])
            self._end_at_limits(end_scores)
        self.step += len(scores)
        kept = [row for row, sentence in enumerate(self._active) if not self._is_finished(sentence)]
        self._active = [self._active[row] for row in kept]
        return np.array(kept, np.int64)

    def _end_hypotheses(self, scores, parents, ends):
        """Put the candidates that end among the best `beam` into the pools of their sentences."""
        for step, row, rank in np.argwhere(ends).tolist():
            sentence, length = self._active[row], self.step + step
            if self._options.min_len <= length < sentence.limit:
                sentence.end(length, parents[step, row, rank], scores[step, row, rank])

    def _end_at_limits(self, end_scores):
        """Where a sentence has reached its limit, all of its hypotheses end, best first."""
        for row, sentence in enumerate(self._active):
            if self.step <= sentence.limit < self.step + len(end_scores):
                totals = np.float32(sentence.scores[sentence.limit]) + end_scores[sentence.limit - self.step, row]
                for hypothesis in np.argsort(-totals, kind="stable"):
                    sentence.end(sentence.limit, hypothesis, totals[hypothesis])

    def _is_finished(self, sentence):
        return len(sentence.pool) == self._options.beam or self.step >= sentence.limit + self.may_end

    def hypotheses(self):
        """For each sentence its Hypothesis list, best score first."""
        return [self._hypotheses(sentence) for sentence in self._sentences]

    def _hypotheses(self, sentence):
        lenpen = self._options.lenpen
        if self.may_end:
            found = [
                Hypothesis([*sentence.tokens(length, parent), self._end], float(total) / (length + 1) ** lenpen)
                for length, parent, total in sentence.pool
            ]
        else:
            totals = sentence.scores[sentence.limit]
            found = [
                Hypothesis(sentence.tokens(sentence.limit, rank), total / sentence.limit**lenpen)
                for rank, total in enumerate(totals)
            ]
        return sorted(found, key=lambda hypothesis: -hypothesis.score)


class _Sentence:
    """What went on at each step of one sentence, and its finished hypotheses."""

    def __init__(self, limit, beam):
        self.limit, self._beam = limit, beam
        self._tokens, self._parents = [], []  # per step, of each hypothesis that went on
        self.scores = [[0.0] + [float("-inf")] * (beam - 1)]  # the same, before the first step and after each
        self.pool = []  # (tokens before </s>, hypothesis that it ends, log-probability)

    def extend(self, tokens, parents, scores):
        """Lists (steps, beam)."""
        self._tokens += tokens
        self._parents += parents
        self.scores += scores

    def end(self, length, hypothesis, score):
        """A hypothesis of `length` tokens ends here; without effect once the pool is full."""
        if len(self.pool) < self._beam:
            self.pool.append((length, int(hypothesis), score))

    def tokens(self, length, hypothesis):
        """The tokens of a hypothesis after `length` steps."""
        found = []
        for step in range(length - 1, -1, -1):
            found.append(self._tokens[step][hypothesis])
            hypothesis = self._parents[step][hypothesis]
        return found[::-1]
