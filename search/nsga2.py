"""NSGA-II (Deb et al. 2002) over predicted latency and validation loss, by ask and tell.

Everything scored is ranked: first the Pareto front, then the front of the rest, and so on; within a front, those with
the widest gap around them come first. The `population` best survive, the winners of binary tournaments between them
breed. Latencies are compared by their logarithm, so that a gap from 2 to 4 ms is as wide as one from 20 to 40.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from hat.architecture.stacks import Architecture
from search.generations import Generations, Individual
from search.pareto import pareto_front
from search.spread import spread_evenly

POOL = 20  # random proposals for each place of the first generation, which takes an even spread of them


class FrontEvolution(Generations):
    """Generations towards the whole front of latency and loss; nothing limits the latency.

    The first generation holds `starters`, such as the fastest and the largest architecture, and random ones whose
    latencies are spread evenly.
    """

    @property
    def standing(self) -> str:
        """How long the front is so far."""
        return f"{self.history[-1]['front']} on the front"

    def _ask_first(self, rng: np.random.Generator) -> None:
        population = self._settings.population
        missing = population - len(self._asked)
        if missing > 0:
            pool = self._random(rng, POOL * population)
            predicted_ms = self._predict([self._space.decode(genome) for genome in pool])
            order = spread_evenly(range(len(pool)), lambda index: predicted_ms[index], missing)
            self._keep_new(pool[list(order)], population)
        self._fill(population, lambda count: self._random(rng, count))

    def _mating_pool(self, rng: np.random.Generator) -> list[tuple[int, ...]]:
        survivors = best_spread(self._scored.values(), _latency_and_loss, self._settings.population)
        winners = rng.integers(len(survivors), size=(len(survivors), 2)).min(axis=1)  # survivors: best first
        return [survivors[index].genome for index in winners]

    def _allowed(self, architectures: Sequence[Architecture]) -> Sequence[bool]:
        return [True] * len(architectures)

    def _summary(self, _losses: Sequence[float | None]) -> dict[str, Any]:
        return {"front": len(pareto_front(self._scored.values(), _latency_and_loss))}


def _latency_and_loss(individual: Individual) -> tuple[float, float]:
    return individual.candidate.predicted_ms, individual.candidate.valid_nats


def best_spread(items: Iterable[Any], key: Callable[[Any], tuple[float, float]], count: int) -> list[Any]:
    """The `count` best of the items: front after front, within a front the largest crowding distance first.

    `key(item)` gives (latency, loss), latencies above 0. Of items equal in both, all but the first are beaten.
    """
    best: list[Any] = []
    rest = list(items)
    while rest and len(best) < count:
        front = pareto_front(rest, key)
        distances = crowding_distances([key(item) for item in front])
        order = sorted(range(len(front)), key=lambda index: -distances[index])
        best += [front[index] for index in order]
        kept = set(map(id, front))
        rest = [item for item in rest if id(item) not in kept]
    return best[:count]


def crowding_distances(front: Iterable[tuple[float, float]]) -> np.ndarray:
    """How far apart the neighbours of each point of a front are, infinite at the ends.

    `front`: (latency, loss), fastest first. Each of the two is a share of the front's whole range.
    """
    points = np.array([(math.log(latency_ms), loss) for latency_ms, loss in front])  # (points, 2)
    distances = np.full(len(points), np.inf)
    if len(points) > 2:
        gaps = np.abs(points[2:] - points[:-2]) / np.abs(points[-1] - points[0])
        distances[1:-1] = gaps.sum(axis=1)
    return distances
