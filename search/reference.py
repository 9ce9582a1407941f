"""What budgets are held against: the full-size Transformer and the fastest SubTransformer, measured together."""

import math
from dataclasses import dataclass

from hat.architecture import Architecture
from hat.config import from_mapping, to_mapping
from hat.errors import BudgetError
from latency_predictor.budget import parse_budget
from search.candidate import Candidate
from search.fastest import find_least
from search.finalists import Finals
from search.state import load_state, save_state

ATTEMPTS = 3  # at a reference that meets the budgets


@dataclass(frozen=True)
class Reference:
    """Milliseconds of one translation: `full_ms` and `fastest_ms` measured, the others predicted."""

    full_ms: float
    fastest: Architecture
    fastest_predicted_ms: float
    fastest_ms: float

    def check(self, budgets, device_name):
        """Raise BudgetError, saying what the fastest is, for the first budget that even the fastest is above."""
        for budget in budgets:
            budget_ms = budget.resolve(self.full_ms)
            if self.fastest_ms > budget_ms:
                raise BudgetError(
                    f"latency budget {budget.text}{self._in_milliseconds(budget)} is below the fastest SubTransformer "
                    f"found for {device_name!r}: {self.fastest_ms:.4g} ms measured, {self.fastest_predicted_ms:.4g} ms "
                    f"predicted; raise --latency to {self._enough(budget)} or more"
                )

    def limit_ms(self, budget):
        """Up to which bound of their latency candidates count as within the budget; the fastest's may be above."""
        return budget.resolve(self.full_ms)

    def _in_milliseconds(self, budget):
        if budget.fraction is None:
            return ""
        return f" of the full-size Transformer's {self.full_ms:.4g} ms"

    def _enough(self, budget):
        if budget.fraction is None:
            return f"{math.ceil(self.fastest_ms * 1.05 * 10) / 10:g}ms"
        return f"{math.ceil(105 * self.fastest_ms / self.full_ms)}%"


def find_reference(path, inputs, budgets, device_name, space, instruments, seed):
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


def _measure_reference(space, instruments, seed):
    """The fastest is by measurement that of two: the fastest by prediction, which may err, and the smallest."""
    fastest, _ = find_least(space, instruments.predict, seed)
    likely = list(dict.fromkeys([fastest, space.smallest()]))  # no set: their order counts
    predicted = zip(likely, instruments.predict(likely), strict=True)
    unscored = [Candidate(architecture, float(predicted_ms), math.inf) for architecture, predicted_ms in predicted]
    timed = Finals(parse_budget("100%"), space.full_transformer(), instruments.measure).time(unscored)
    fastest = min(timed, key=lambda finalist: finalist.timing.typical)
    candidate = fastest.candidate
    return Reference(fastest.full.typical, candidate.architecture, candidate.predicted_ms, fastest.timing.typical)
