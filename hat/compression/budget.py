"""Which rate of pruning meets a budget: found by bundles of networks that are pruned at once, and not trained."""

from collections.abc import Callable

from hat.compression.dense import Dense
from hat.errors import BudgetError, UsageError

STEPS = 7  # of the bisection: rates are found to about 2 % of their range
MOST = 100.0  # rate that is ever tried


def rate_within(dense: Dense, of: Callable[[float], float], most: float, what: Callable[[float], str]) -> float:
    """The lowest rate found at which `of(rate)`, which falls as the rate grows, is at most `most`.

    Raises BudgetError, saying what is possible, with `what(value)` for a text, if no rate is.
    """
    low, high = 1.0, highest_rate(dense)
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


def highest_rate(dense: Dense) -> float:
    """A rate that leaves no place empty, near the highest."""
    low, high = 1.0, MOST
    for _ in range(12):
        middle = (low * high) ** 0.5
        try:
            dense.at_rate(middle)
            low = middle
        except UsageError:
            high = middle
    if low == 1.0:
        raise UsageError(f"{dense.name} has nothing to be pruned")
    return low
