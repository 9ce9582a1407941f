"""From predicted to measured: the best candidates are timed on the device, and the best that meets the budget wins.

The best candidates were picked among many for looking fast, so more than half of them are slower than predicted: only
what is measured counts. Candidates and the full-size Transformer are timed in turns, in several rounds, so that all
live through the same load of the machine; a candidate meets the budget only if it does in all rounds but one, and in
the middle one with some headroom.
"""

import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from hat.architecture.stacks import Architecture
from hat.errors import BudgetError, BusyMachineError, HatError
from latency_predictor.budget import LatencyBudget
from latency_predictor.latency import Latency, of_rounds
from search.aim import HEADROOM
from search.candidate import Candidate, best_first

ROUNDS = 5
SPARED = 1  # of these, which other work on the machine may have spoilt
BATCHES = 4


@dataclass(frozen=True)
class Finalist:
    """A candidate as measured, beside the full-size Transformer and the budget at that time."""

    candidate: Candidate
    latency: Latency
    full: Latency
    budget_ms: float
    meets: bool

    def to_dict(self) -> dict[str, Any]:
        """Plain dictionary for JSON."""
        return self.candidate.to_dict() | {
            "measured_ms": self.latency.ms,
            "measured_range_ms": [self.latency.low_ms, self.latency.high_ms],
            "taken": self.latency.taken,
            "full_ms": self.full.ms,
            "budget_ms": self.budget_ms,
            "meets": self.meets,
        }


def by_inherited_loss(finalists: Iterable[Finalist]) -> list[Finalist]:
    """The Finalists, best first by the loss that they inherit."""
    return sorted(finalists, key=lambda finalist: best_first(finalist.candidate))


class Finals:
    """Times candidates against one budget.

    `measure` maps architectures to their Latencies on the device, of one round; `full` is the full-size Transformer.
    `kept` are lists of Finalists, as `batches` had them before an interruption: they are taken in place of timing the
    same candidates again. `keep` is called with them after each timing.
    """

    def __init__(
        self,
        budget: LatencyBudget,
        full: Architecture,
        measure: Callable[[Sequence[Architecture]], list[Latency]],
        kept: Iterable[list[Finalist]] = (),
        keep: Callable[[list[list[Finalist]]], None] = lambda batches: None,
    ) -> None:
        self._budget, self._full, self._measure = budget, full, measure
        self._kept, self._keep = list(kept), keep
        self.batches: list[list[Finalist]] = []  # what each timing found

    @property
    def measured(self) -> list[Finalist]:
        """Every Finalist, in the order of timing."""
        return [finalist for batch in self.batches for finalist in batch]

    def time(self, candidates: Sequence[Candidate]) -> list[Finalist]:
        """The Finalists of these candidates, timed now if they weren't before an interruption."""
        finalists = self._kept.pop(0) if self._kept else []
        if [finalist.candidate for finalist in finalists] != list(candidates):
            self._kept, finalists = [], self._time(candidates)
        self.batches.append(finalists)
        self._keep(self.batches)
        return finalists

    def _time(self, candidates: Sequence[Candidate]) -> list[Finalist]:
        """Time the candidates beside the full-size Transformer, round by round."""
        together = [self._full, *(candidate.architecture for candidate in candidates)]
        full_rounds, *rounds = zip(*(self._measure(together) for _ in range(ROUNDS)), strict=True)
        full = of_rounds(full_rounds)
        budget_ms = self._budget.resolve(full.ms)
        finalists: list[Finalist] = []
        for candidate, latencies in zip(candidates, rounds, strict=True):
            taken = [
                each.ms / self._budget.resolve(beside.ms) for each, beside in zip(latencies, full_rounds, strict=True)
            ]
            latency = of_rounds(latencies)
            middle = max(statistics.median(taken), latency.ms / budget_ms)
            meets = sorted(taken)[-1 - SPARED] <= 1 and middle <= HEADROOM
            finalists.append(Finalist(candidate, latency, full, budget_ms, meets))
        return finalists

    def choose(
        self,
        candidates: Sequence[Candidate],
        limit_ms: float,
        few: int,
        rank: Callable[[list[Finalist]], list[Finalist]] = by_inherited_loss,
    ) -> Finalist:
        """The best candidate, by `rank`, that really meets the budget, timed once more by itself.

        Times the best `few` with a predicted latency within `limit_ms`; while none of them meets the budget,
        goes on with the best of those that would by the prediction corrected for what was measured, and at
        last with the fastest. `rank` puts the Finalists that meet it in order. Raises BudgetError, naming the
        fastest measured, if none of those does either, BusyMachineError if other work kept that one from it.
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
        error = self._nothing_meets()
        if isinstance(error, BusyMachineError):
            self._keep([])  # no verdict: the next search times them anew
        raise error

    def _nothing_meets(self) -> HatError:
        """The error that says so."""
        if not self.measured:
            return BudgetError(f"latency budget {self._budget.text}: the search found no candidate; raise --latency")
        fastest = min(self.measured, key=lambda finalist: finalist.latency.ms / finalist.budget_ms)
        count = len({finalist.candidate.architecture for finalist in self.measured})
        found = (
            f"latency budget {self._budget.text} ({fastest.budget_ms:.4g} ms): none of {count} candidates "
            f"timed on the device meets it; the fastest measured takes {fastest.latency.ms:.4g} ms "
            f"(predicted {fastest.candidate.predicted_ms:.4g} ms)"
        )
        if fastest.latency.busy:
            return BusyMachineError(
                f"{found}, but other work had the processor {fastest.latency.taken:.0%} of the time, so that this is "
                "no verdict; end it and run hat-search again"
            )
        if fastest.latency.ms <= HEADROOM * fastest.budget_ms:
            spread = f"{fastest.latency.low_ms:.4g} to {fastest.latency.high_ms:.4g} ms"
            return BusyMachineError(
                f"{found} in the middle one of {ROUNDS} rounds, but {spread} in all, not always within the budget of "
                "the moment: the machine's pace changes too much for a verdict; run hat-search again when it is quiet"
            )
        return BudgetError(f"{found}; raise --latency")


def _overshoot(finalists: Iterable[Finalist], limit_ms: float) -> float:
    """By which factor these took more of the budget than predicted (their median)."""
    return statistics.median(
        (finalist.latency.ms / (HEADROOM * finalist.budget_ms)) / (finalist.candidate.predicted_ms / limit_ms)
        for finalist in finalists
    )
