"""Leaves out of a network's weights what pruning has set to zero, so that graphs compute only what is left.

Heads and FFN neurons go whole, and the products around them are smaller; products by blocks skip the columns that are
zero in them. Where everything is zero nothing is left out: such weights only stand for others.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from hat.architecture.groups import heads_and_neurons
from hat.architecture.stacks import Architecture
from hat.deploy.building.column_blocks import ColumnBlocks


def without_removed(architecture: Architecture, weights: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """`weights` of an Architecture without the heads and FFN neurons all of whose weights are zero."""
    compact = dict(weights)
    for groups in heads_and_neurons(architecture, {name: weight.shape for name, weight in weights.items()}):
        removed = groups.squared_norms(weights) == 0
        if removed.any() and not removed.all():
            for part in groups.slices:
                compact[part.weight] = np.delete(compact[part.weight], part.index[removed].ravel(), axis=part.axis)
    return compact


def with_column_blocks(weights: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """`weights` with ColumnBlocks for the layers' matrices that are zero in columns of blocks, where that is faster."""
    found: dict[str, Any] = dict(weights)
    for name, weight in weights.items():
        blocks = ColumnBlocks.of(weight) if ".layers." in name and weight.ndim == 2 else None
        if blocks and blocks.relative_cost < 1:
            found[name] = blocks
    return found
