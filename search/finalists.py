"""From predicted to measured: the best candidates are timed on the device, and the best that meets the budget wins.

The best candidates were picked among many for looking fast, so more of them than the bound says of random ones are
slower than it. Only what is measured counts. Every candidate is timed side by side with the full-size Transformer, in
several rounds, so that both live through the same load of the machine; a candidate meets the budget only if it does in
every round.
"""

import statistics
from dataclasses import dataclass, fields

from hat.errors import BudgetError
from latency_predictor.timing import Timing
from search.candidate import Candidate, best_first

ROUNDS = 3
BATCHES = 4


@dataclass(frozen=True)
class Finalist:
    """A candidate as measured, beside the full-size Transformer and the budget at that time."""

    candidate: Candidate
    timing: Timing
    full: Timing
    budget_ms: float
    meets: bool

    def to_dict(self):
        """Plain dictionary for JSON."""
        return self.candidate.to_dict() | {
            "measured_ms": self.timing.typical,
            "measured_ci_ms": [self.timing.ci_low, self.timing.ci_high],
            "full_ms": self.full.typical,
            "budget_ms": self.budget_ms,
            "meets": self.meets,
        }


def by_inherited_loss(finalists):
    """The Finalists, best first by the loss that they inherit."""
    return sorted(finalists, key=lambda finalist: best_first(finalist.candidate))


class Finals:
    """Times candidates against one budget.

    `measure` maps an architecture to the Timing (ms) of one translation on the device; `full` is the
    full-size Transformer. `kept` are lists of Finalists, as `batches` had them before an interruption: they are taken
    in place of timing the same candidates again. `keep` is called with them after each timing.
    """

    def __init__(self, budget, full, measure, kept=(), keep=lambda batches: None):
        self._budget, self._full, self._measure = budget, full, measure
        self._kept, self._keep = list(kept), keep
        self.batches = []  # what each timing found

    @property
    def measured(self):
        """Every Finalist, in the order of timing."""
        return [finalist for batch in self.batches for finalist in batch]

    def time(self, candidates):
        """The Finalists of these candidates, timed now if they weren't before an interruption."""
        finalists = self._kept.pop(0) if self._kept else []
        if [finalist.candidate for finalist in finalists] != list(candidates):
            self._kept, finalists = [], self._time(candidates)
        self.batches.append(finalists)
        self._keep(self.batches)
        return finalists

    def _time(self, candidates):
        """Time the candidates, round by round, each round beginning with the full-size Transformer."""
        full_rounds, rounds = [], []
        for _ in range(ROUNDS):
            full_rounds.append(self._measure(self._full))
            rounds.append([self._measure(candidate.architecture) for candidate in candidates])
        full = _middle(full_rounds)
        finalists = []
        for candidate, timings in zip(candidates, zip(*rounds, strict=True), strict=True):
            meets = all(
                timing.typical <= self._budget.resolve(beside.typical)
                for timing, beside in zip(timings, full_rounds, strict=True)
            )
            budget_ms = self._budget.resolve(full.typical)
            finalists.append(Finalist(candidate, _middle(timings), full, budget_ms, meets))
        return finalists

    def choose(self, candidates, limit_ms, few, rank=by_inherited_loss):
        """The best candidate, by `rank`, that really meets the budget, timed once more by itself.

        Times the best `few` with a predicted latency within `limit_ms`; while none of them meets the budget,
        goes on with the best of those that would by the prediction corrected for what was measured, and at
        last with the fastest. `rank` puts the Finalists that meet it in order. Raises BudgetError, naming the
        fastest measured, if none of those does either.
        """
        remaining, correction = sorted(candidates, key=best_first), 1.0
        for batch_number in range(1, BATCHES + 1):
            if not remaining:
                break
            batch = [candidate for candidate in remaining if candidate.predicted_ms * correction <= limit_ms][:few]
            if not batch or batch_number == BATCHES:
                batch = sorted(remaining, key=lambda candidate: candidate.predicted_ms)[:few]
            finalists = self.time(batch)
            for finalist in rank([finalist for finalist in finalists if finalist.meets]):
                confirmed = self.time([finalist.candidate])[0]
                if confirmed.meets:
                    return confirmed
            correction = max(correction, _overshoot(finalists, limit_ms))
            remaining = [candidate for candidate in remaining if candidate not in batch]
        raise BudgetError(self._nothing_meets())

    def _nothing_meets(self):
        if not self.measured:
            return f"latency budget {self._budget.text}: the search found no candidate; raise --latency"
        fastest = min(self.measured, key=lambda finalist: finalist.timing.typical / finalist.budget_ms)
        count = len({finalist.candidate.architecture for finalist in self.measured})
        return (
            f"latency budget {self._budget.text} ({fastest.budget_ms:.4g} ms): none of {count} candidates "
            f"timed on the device meets it; the fastest measured takes {fastest.timing.typical:.4g} ms "
            f"(predicted {fastest.candidate.predicted_ms:.4g} ms); raise --latency"
        )


def _overshoot(finalists, limit_ms):
    """By which factor these took more of the budget than predicted (their median)."""
    return statistics.median(
        (finalist.timing.typical / finalist.budget_ms) / (finalist.candidate.predicted_ms / limit_ms)
        for finalist in finalists
    )


def _middle(timings):
    """One Timing of several rounds: the median of each figure, all repetitions counted."""
    names = (field.name for field in fields(Timing) if field.name != "count")
    medians = {name: statistics.median(getattr(timing, name) for timing in timings) for name in names}
    return Timing(**medians, count=sum(timing.count for timing in timings))
