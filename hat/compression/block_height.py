"""The height of the blocks within which columns are removed: low ones cost quality least, high ones time."""

import math
from collections.abc import Iterable

from hat.architecture.complexity import Shapes
from hat.architecture.groups import layer_matrices, rows_in_common
from hat.deploy.building.block_costs import StackCosts

HEIGHTS = (8, 16, 32, 64, 128, 256, 512)
WORTH = 1.1  # the lowest height counts whose products take at most so many times what those of the best one do


def best_height(shapes: Shapes, share: float, costs: StackCosts) -> tuple[int, float]:
    """(rows of blocks, time of the layers' products over that of the whole ones) where `share` of all columns stays.

    `shapes` are those of all weights. A product that blocks make slower stays whole. Heights are those of HEIGHTS that
    divide every matrix, or the largest number of rows that does.
    """
    matrices, common = layer_matrices(shapes), rows_in_common(shapes)
    heights = [height for height in HEIGHTS if common % height == 0] or [common]
    times = {height: _relative_time(matrices, share, height, costs) for height in heights}
    height = next(height for height in heights if times[height] <= WORTH * min(times.values()))
    return height, times[height]


def _relative_time(matrices: Shapes, share: float, height: int, costs: StackCosts) -> float:
    taken = sum(_taken(name, matrices[name], share, height, costs) for name in matrices)
    return taken / sum(_weights(shape) for shape in matrices.values())


def _taken(name: str, shape: tuple[int, ...], share: float, height: int, costs: StackCosts) -> float:
    """The time of a product with blocks of that height, in units of a whole product's weight."""
    rows, columns = shape
    blocks: Iterable[tuple[int, int]] = [(height, max(1, round(share * columns)))] * (rows // height)
    return _weights(shape) * min(1.0, costs.of(name).relative((rows, columns), blocks))


def _weights(shape: tuple[int, ...]) -> int:
    return math.prod(shape)
