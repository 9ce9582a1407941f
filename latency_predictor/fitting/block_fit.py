"""Fits what products by blocks cost on a device to times of a few of them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import nnls

from hat.deploy.building.block_costs import BlockCosts
from hat.errors import DeviceError


@dataclass(frozen=True)
class TimedProduct:
    """The `time` of a product, in any unit, with a matrix of `blocks`, each (rows, columns); `whole`: it is just one,
    and no inputs are gathered.
    """

    blocks: tuple[tuple[int, int], ...]
    whole: bool
    time: float


def fit_block_costs(products: Sequence[TimedProduct]) -> BlockCosts:
    """The BlockCosts by which the squared relative errors of all times are least; none is below zero.

    Raises DeviceError where whole products take no time that grows with their weights.
    """
    rows = np.array([_counts(product) for product in products])
    times = np.array([product.time for product in products])
    (call, whole, weight, column, block), _ = nnls(rows / times[:, None], np.ones(len(times)))
    if whole <= 0:
        raise DeviceError("times of whole products don't grow with their size; measure again when less else runs there")
    return BlockCosts(float(weight / whole), float(column / whole), float(block / whole), float(call / whole))


def _counts(product: TimedProduct) -> tuple[float, ...]:
    """(calls, weights of a whole matrix, weights in blocks, columns of blocks, blocks)"""
    weights = sum(rows * columns for rows, columns in product.blocks)
    if product.whole:
        return 1, weights, 0, 0, 0
    return 1, 0, weights, sum(columns for _, columns in product.blocks), len(product.blocks)
