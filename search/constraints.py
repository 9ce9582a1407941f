"""What the candidates of one search must meet, and whether anything in the space meets all of it."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from hat.architecture.complexity import Spec, count_parameters
from hat.architecture.space import SearchSpace
from hat.architecture.stacks import Architecture
from hat.errors import BudgetError
from search.fastest import find_least
from search.instruments import Instruments
from search.limits import Limits, count_text, size_text


@dataclass(frozen=True)
class Ceiling:
    """One limit beside latency: `of` maps an architecture to what must be at most `most`; `text` writes a value."""

    option: str
    unit: str
    most: int
    of: Callable
    text: Callable

    def met_by(self, architecture: Architecture) -> bool:
        """Whether an architecture has no more than that."""
        return bool(self.of(architecture) <= self.most)

    def check(self, smallest: Architecture) -> None:
        """Raise BudgetError, saying what is possible, if even the smallest architecture is above."""
        least = self.of(smallest)
        if least > self.most:
            raise BudgetError(
                f"{self.option} {self.text(self.most)}: the smallest SubTransformer of the space has "
                f"{self.text(least)}{self.unit}; raise {self.option} to {self.text(_rounded_up(least))} or more"
            )


def ceilings(limits: Limits, spec: Spec, size_bytes: Callable) -> list[Ceiling]:
    """The Ceilings that Limits mean; `size_bytes`, architecture -> bytes, is called only where they limit these."""
    found = []
    if limits.parameters is not None:

        def parameters(architecture: Architecture) -> int:
            return count_parameters(architecture, spec)[0]

        found.append(Ceiling("--max-parameters", " parameters", limits.parameters, parameters, count_text))
    if limits.size_bytes is not None:
        found.append(Ceiling("--max-size", "", limits.size_bytes, size_bytes, size_text))
    return found


class Constraints:
    """A predicted latency of at most `limit_ms`, and the Limits beside it.

    The `fastest` was measured, and found within the budget, so its prediction doesn't matter.
    """

    def __init__(self, limits: Limits, limit_ms: float, fastest: Architecture, instruments: Instruments) -> None:
        self._limit_ms, self._fastest, self._predict = limit_ms, fastest, instruments.predict
        self._ceilings = ceilings(limits, instruments.spec, instruments.size_bytes)

    def allow(self, architectures: Sequence[Architecture]) -> list[bool]:
        """Whether each of the architectures meets all: a list of booleans."""
        return [
            (milliseconds <= self._limit_ms or architecture == self._fastest)
            and all(ceiling.met_by(architecture) for ceiling in self._ceilings)
            for architecture, milliseconds in zip(architectures, self._predict(architectures), strict=True)
        ]

    def starters(self, space: SearchSpace, seed: int, budget_text: str) -> list[Architecture]:
        """Architectures that meet all, for a search to start from, the fastest among them if it does.

        Raises BudgetError, saying which limit nothing meets and what is possible, or that nothing meets all of them
        together and what comes nearest.
        """
        for ceiling in self._ceilings:
            ceiling.check(space.smallest())
        if all(self.allow([self._fastest])):
            return [self._fastest]
        nearest, excess = find_least(space, self._excess, seed)
        if excess > 1:
            raise BudgetError(self._not_together(nearest, budget_text))
        return [nearest]

    def _excess(self, architectures: Sequence[Architecture]) -> np.ndarray:
        """For each, the largest ratio of what it takes to what it may take; at most 1 where all is met."""
        ratios: list[Any] = [np.asarray(self._predict(architectures)) / self._limit_ms]
        for ceiling in self._ceilings:
            ratios.append([ceiling.of(architecture) / ceiling.most for architecture in architectures])
        return np.max(ratios, axis=0)

    def _not_together(self, nearest: Architecture, budget_text: str) -> str:
        limits = [f"--latency {budget_text}", *(f"{each.option} {each.text(each.most)}" for each in self._ceilings)]
        taken = [f"{self._predict([nearest])[0]:.4g} ms"]
        taken += [f"{each.text(_rounded_up(each.of(nearest)))}{each.unit}" for each in self._ceilings]
        return (
            f"{' and '.join(limits)} can each be met, but not together; what comes nearest to all takes "
            f"{', '.join(taken)} ({nearest.summary()}); raise one of them"
        )


def _rounded_up(value: float) -> int:
    """An integer of at most three digits and then zeros, not below `value`."""
    step = 10 ** max(int(math.log10(value)) - 2, 0)
    return math.ceil(value / step) * step
