"""Which rate of pruning meets a budget: found by bundles of networks that are pruned at once, and not trained."""

from collections.abc import Callable

from hat.compression.dense import Dense
from hat.errors import BudgetError

STEPS = 7  # of the bisection: rates are found to about 2 % of their range


def rate_within(dense: Dense, of: Callable[[float], float], most: float, what: Callable[[float], str]) -> float:
    """The lowest rate found at which `of(rate)`, which falls as the rate grows, is at most `most`.

    Raises BudgetError, saying what is possible, with `what(value)` for a text, if no rate is.
    """
    low, high = 1.0, dense.highest_rate
    least = of(high)
    if least > most:
        raise BudgetError(
            f"{what(most)} is below what pruning can reach: {dense.name} at rate {high:.3g} takes {what(least)}; "
            f"ask for more, or search for a smaller network"
        )
    for _ in range(STEPS):
        middle = (low * high) ** 0.5
        if of(middle) <= most:
            high = middle
        else:
            low = middle
    return high
