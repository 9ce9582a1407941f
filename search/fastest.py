"""The architecture of a space that takes least, time above all: what an impossible budget is told."""

from collections.abc import Iterator, Sequence

import numpy as np

from hat.architecture.space import Gene, SearchSpace
from hat.architecture.stacks import Architecture
from search.candidate import Predict

RANDOM_STARTS = 500
DESCENTS = 3


def find_least(space: SearchSpace, predict: Predict, seed: int) -> tuple[Architecture, float]:
    """(architecture, what it takes): coordinate descent from the smallest and the least of random ones.

    `predict` maps a list of architectures to their latencies in ms, or to another cost. The smallest is not always
    the fastest: fewer heads or an odd width may run slower on some device.
    """
    rng = np.random.default_rng([seed, RANDOM_STARTS])
    choices = np.array([len(gene.choices) for gene in space.genes])
    starts = np.vstack([np.zeros_like(choices), rng.integers(choices, size=(RANDOM_STARTS, len(choices)))])
    latencies = predict([space.decode(genome) for genome in starts])
    best = [_descend(space, predict, starts[index]) for index in np.argsort(latencies, kind="stable")[:DESCENTS]]
    return min(best, key=lambda pair: pair[1])


def _descend(space: SearchSpace, predict: Predict, genome: Sequence[int]) -> tuple[Architecture, float]:
    """Change one gene at a time, always to what saves most, until nothing does."""
    architecture = space.decode(genome)
    fastest_ms = float(predict([architecture])[0])
    while True:  # ends: every turn is strictly faster, and the space is finite
        neighbours = list(_neighbours(genome, space.genes))
        if not neighbours:
            return architecture, fastest_ms
        decoded = [space.decode(neighbour) for neighbour in neighbours]
        latencies = predict(decoded)
        best = int(np.argmin(latencies))
        if latencies[best] >= fastest_ms:
            return architecture, fastest_ms
        genome, architecture, fastest_ms = neighbours[best], decoded[best], float(latencies[best])


def _neighbours(genome: Sequence[int], genes: Sequence[Gene]) -> Iterator[list[int]]:
    for position, gene in enumerate(genes):
        for index in range(len(gene.choices)):
            if index != genome[position]:
                yield [*genome[:position], index, *genome[position + 1 :]]
