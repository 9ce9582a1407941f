"""What budgets are held against: the full-size Transformer and the fastest SubTransformer, measured together."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from hat.architecture.space import SearchSpace
from hat.architecture.stacks import Architecture
from hat.config import from_mapping, to_mapping
from hat.errors import BudgetError
from latency_predictor.budget import LatencyBudget, parse_budget
from search.aim import HEADROOM
from search.candidate import Candidate
from search.fastest import find_least
from search.finalists import Finals
from search.instruments import Instruments
from search.state import load_state, save_state

ATTEMPTS = 3  # at a reference that meets the budgets


@dataclass(frozen=True)
class Reference:
    """Milliseconds of one translation: `full_ms` and `fastest_ms` measured, the others as the predictor has them."""

    full_ms: float
    full_predicted_ms: float
    fastest: Architecture
    fastest_ms: float
    fastest_predicted_ms: float

    def pairs(self) -> list[tuple[float, float]]:
        """[(predicted, measured)] milliseconds."""
        return [(self.full_predicted_ms, self.full_ms), (self.fastest_predicted_ms, self.fastest_ms)]

    def check(self, budgets: Iterable[LatencyBudget], device_name: str) -> None:
        """Raise BudgetError, saying what the fastest is, for the first budget that even the fastest is above."""
        for budget in budgets:
            budget_ms = budget.resolve(self.full_ms)
            if self.fastest_ms > HEADROOM * budget_ms:
                raise BudgetError(
                    f"latency budget {budget.text}{self._in_milliseconds(budget)} is below the fastest SubTransformer "
                    f"found for {device_name!r}, with {1 - HEADROOM:.0%} to spare: {self.fastest_ms:.4g} ms measured; "
                    f"raise --latency to {self._enough(budget)} or more"
                )

    def limit_ms(self, budget: LatencyBudget) -> float:
        """Up to which prediction candidates are looked at; the fastest's may be above."""
        return HEADROOM * budget.resolve(self.full_ms)

    def _in_milliseconds(self, budget: LatencyBudget) -> str:
        if budget.fraction is None:
            return ""
        return f" of the full-size Transformer's {self.full_ms:.4g} ms"

    def _enough(self, budget: LatencyBudget) -> str:
        if budget.fraction is None:
            return f"{math.ceil(self.fastest_ms * 1.05 * 10) / 10:g}ms"
        return f"{math.ceil(105 * self.fastest_ms / self.full_ms)}%"


def find_reference(
    path: Path,
    inputs: str,
    budgets: Iterable[LatencyBudget],
    device_name: str,
    space: SearchSpace,
    instruments: Instruments,
    seed: int,
) -> Reference:
    """The Reference kept at `path` for these inputs, or a new one, measured with `instruments` and then kept there.

    Raises BudgetError at once if one of the budgets is impossible; nothing is kept then. One that says so is
    measured again first, up to ATTEMPTS times, since the machine may have been busy.
    """
    kept = load_state(path, inputs)
    if kept is not None:
        reference = from_mapping(Reference, kept, str(path))
        try:
            reference.check(budgets, device_name)
            return reference
        except BudgetError:
            pass
    for attempt in range(1, ATTEMPTS + 1):
        reference = _measure_reference(space, instruments, seed)
        try:
            reference.check(budgets, device_name)
            break
        except BudgetError:
            if attempt == ATTEMPTS:
                raise
    save_state(path, inputs, to_mapping(reference))
    return reference


def _measure_reference(space: SearchSpace, instruments: Instruments, seed: int) -> Reference:
    """The fastest is by measurement that of two: the fastest by prediction, which may err, and the smallest."""
    predicted_fastest, _ = find_least(space, instruments.predict, seed)
    likely = list(dict.fromkeys([predicted_fastest, space.smallest()]))  # no set: their order counts
    full = space.full_transformer()
    full_predicted_ms, *predicted_ms = map(float, instruments.predict([full, *likely]))
    unscored = [Candidate(*pair, math.inf) for pair in zip(likely, predicted_ms, strict=True)]
    timed = Finals(parse_budget("100%"), full, instruments.measure).time(unscored)
    fastest = min(timed, key=lambda finalist: finalist.latency.ms)
    candidate = fastest.candidate
    return Reference(
        fastest.full.ms, full_predicted_ms, candidate.architecture, fastest.latency.ms, candidate.predicted_ms
    )
