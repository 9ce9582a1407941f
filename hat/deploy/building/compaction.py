"""Leaves out of a network's weights what pruning has set to zero, so that graphs compute only what is left.

Heads and FFN neurons go whole, and the products around them are smaller; products by blocks skip the columns that are
zero in them. Where everything is zero nothing is left out: such weights only stand for others.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from hat.architecture.groups import heads_and_neurons
from hat.architecture.stacks import Architecture
from hat.deploy.building.block_costs import StackCosts
from hat.deploy.building.column_blocks import ColumnBlocks

NOT_MULTIPLIED = (".qkv_bias", ".positions")  # of language models: no matrices, although they have several axes


def without_removed(architecture: Architecture, weights: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """`weights` of an Architecture without the heads and FFN neurons all of whose weights are zero."""
    compact = dict(weights)
    for name, axis, removed in _removed(architecture, weights):
        compact[name] = np.delete(compact[name], removed, axis=axis)
    return compact


def _removed(architecture: Architecture, weights: Mapping[str, np.ndarray]) -> Iterator[tuple[str, int, np.ndarray]]:
    """(name of a weight, axis, places along it) of what went with heads and FFN neurons."""
    for groups in heads_and_neurons(architecture, {name: weight.shape for name, weight in weights.items()}):
        removed = groups.squared_norms(weights) == 0
        if removed.any() and not removed.all():
            for part in groups.slices:
                yield part.weight, part.axis, part.index[removed].ravel()


def with_column_blocks(weights: Mapping[str, np.ndarray], costs: StackCosts) -> dict[str, Any]:
    """`weights` with ColumnBlocks for the layers' matrices that are zero in columns of blocks, where that is faster."""
    found = _column_blocks(weights)
    return {**weights, **{name: blocks for name, blocks in found if blocks.pays(costs.of(name))}}


def blocks_and_wholes(weights: Mapping[str, np.ndarray], costs: StackCosts) -> tuple[int, int]:
    """How many matrices are zero in columns of blocks and stored so, and how many although they are stay whole."""
    faster = [blocks.pays(costs.of(name)) for name, blocks in _column_blocks(weights)]
    return sum(faster), len(faster) - sum(faster)


def _column_blocks(weights: Mapping[str, np.ndarray]) -> Iterator[tuple[str, ColumnBlocks]]:
    for name, weight in weights.items():
        blocks = ColumnBlocks.of(weight) if ".layers." in name and weight.ndim == 2 else None
        if blocks:
            yield name, blocks


def output_axes(name: str, axes: int) -> int:
    """How many of a matrix's axes, the first ones, are its rows: language models hold some by heads."""
    return 1 if name.endswith(".out_weight") else axes - 1


def stored_parts(
    architecture: Architecture, weights: Mapping[str, np.ndarray], costs: StackCosts
) -> dict[str, list[tuple[np.ndarray, np.ndarray]]]:
    """{name: [(rows, columns)]} of the arrays that a graph stores of each matrix among `weights`."""
    matrices = {
        name: weight for name, weight in weights.items() if weight.ndim > 1 and not name.endswith(NOT_MULTIPLIED)
    }
    left = {name: [np.arange(size) for size in weight.shape] for name, weight in matrices.items()}
    for name, axis, removed in _removed(architecture, weights):
        if name in left:
            left[name][axis] = np.setdiff1d(left[name][axis], removed)
    compact = with_column_blocks({name: weights[name][np.ix_(*places)] for name, places in left.items()}, costs)
    return {name: list(_parts(compact[name], *_flat(name, weights[name].shape, left[name]))) for name in left}


def _flat(name: str, shape: Sequence[int], left: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """The rows and the columns of a matrix that are `left` along each axis of its `shape`."""
    rows = output_axes(name, len(shape))
    parts = (slice(rows), slice(rows, None))
    first, second = (np.ravel_multi_index(np.ix_(*left[part]), shape[part]).ravel() for part in parts)
    return first, second


def _parts(
    stored: np.ndarray | ColumnBlocks, rows: np.ndarray, columns: np.ndarray
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    if not isinstance(stored, ColumnBlocks):
        yield rows, columns
        return
    ends = np.cumsum([len(block) for block in stored.blocks])[:-1]
    for block_rows, chosen in zip(np.split(rows, ends), stored.columns):
        yield block_rows, columns[chosen]
