"""The evolutionary search of HAT (Wang et al., ACL 2020, section 3.3), by ask and tell.

The first generation is random; every later one is made of `mutations` and `crossovers` of the `parents` best of
everything scored so far. Only architectures that meet the search's constraints are proposed.
"""

import statistics
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from hat.architecture.space import SearchSpace
from hat.architecture.stacks import Architecture
from hat.experiment.sections import SearchConfig
from search.candidate import Predict, best_first
from search.generations import Generations, Individual


class Evolution(Generations):
    """Generations towards the lowest loss of what `allow` lets in: it maps a list of architectures to booleans.

    The first generation holds `starters` beside its random ones.
    """

    def __init__(
        self,
        space: SearchSpace,
        settings: SearchConfig,
        predict: Predict,
        allow: Callable[[Sequence[Architecture]], Sequence[bool]],
        seed: int,
        starters: Sequence[Architecture] = (),
    ) -> None:
        super().__init__(space, settings, predict, seed, starters)
        self._allow = allow

    @property
    def standing(self) -> str:
        """The best loss so far."""
        return f"best {self.history[-1]['best_nats']:.4f} nats/token"

    def _ask_first(self, rng: np.random.Generator) -> None:
        population = self._settings.population
        self._fill(population, lambda count: self._random(rng, count))
        found = [genome for genome, _ in self._asked.values()]
        if found:  # under tight limits hardly any random one is allowed: add kin of those that are
            self._fill(population, lambda count: self._mutated(rng, found, count))

    def _mating_pool(self, _rng: np.random.Generator) -> list[tuple[int, ...]]:
        return [individual.genome for individual in self._parents()]

    def _allowed(self, architectures: Sequence[Architecture]) -> Sequence[bool]:
        return self._allow(architectures)

    def _parents(self) -> list[Individual]:
        ranked = sorted(self._individuals, key=lambda individual: best_first(individual.candidate))
        return ranked[: self._settings.parents]

    def _summary(self, _losses: Sequence[float | None]) -> dict[str, Any]:
        losses = [individual.candidate.valid_nats for individual in self._parents()]
        return {"best_nats": losses[0], "median_nats": statistics.median(losses)}
