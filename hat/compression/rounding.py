"""Trains a network whose weights few bits can express: the optimiser changes exact ones, all else sees them rounded.

What an update computes at the rounded weights moves the exact ones (the straight-through estimator of Bengio et al.
2013). The values that are rounded to are those that a bundle of the network stores, and stay as they are in the
beginning; so bundles of what was trained lose nothing more.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from hat.architecture.stacks import Architecture
from hat.deploy.building.block_costs import UNMEASURED, DeviceCosts
from hat.deploy.building.compaction import output_axes, stored_parts
from hat.deploy.building.quantisation import BLOCK, MIDDLE, codebook_of, quantise_blocks

EXACT = "exact"  # key of the optimiser's state for a weight, so that checkpoints hold it
Parts = Sequence[tuple[np.ndarray, np.ndarray]]  # (rows, columns)


class Grid(Protocol):
    """The values that a matrix may take."""

    def nearest(self, weight: Tensor) -> Tensor:
        """Of a matrix of the same shape."""


class ScaledGrid:
    """-8 to 7 times a step, which blocks of what a bundle stores of a matrix have in common: its `parts`."""

    def __init__(self, weight: np.ndarray, parts: Parts) -> None:
        steps = np.ones_like(weight)
        for rows, columns in parts:
            _, scales = quantise_blocks(weight[np.ix_(rows, columns)])
            steps[np.ix_(rows, columns)] = np.repeat(scales.astype(np.float32), BLOCK, axis=1)[:, : len(columns)]
        self._steps = torch.from_numpy(steps)

    def nearest(self, weight: Tensor) -> Tensor:
        steps = self._steps = self._steps.to(weight.device)
        return (weight / steps).round_().clamp_(-MIDDLE, MIDDLE - 1).mul_(steps)


class ClusteredGrid:
    """The values of the codebook of a matrix."""

    def __init__(self, weight: np.ndarray, _: Parts) -> None:
        self._values = torch.from_numpy(codebook_of(weight).astype(np.float32))

    def nearest(self, weight: Tensor) -> Tensor:
        values = self._values = self._values.to(weight.device)
        return values[torch.bucketize(weight, (values[1:] + values[:-1]) / 2)]


class HeadsGrid:
    """A Grid of a matrix that a language model holds by heads as `name`, and bundles flat, with scaled queries."""

    def __init__(self, precision: str, name: str, weight: np.ndarray, parts: Parts) -> None:
        self._matrix = math.prod(weight.shape[: output_axes(name, weight.ndim)]), -1
        self._factors = torch.ones(())
        if name.endswith(".qkv_weight"):
            self._factors = torch.tensor([weight.shape[-2] ** -0.5, 1.0, 1.0])[:, None, None]
        scaled = (torch.from_numpy(weight) * self._factors).reshape(self._matrix)
        self._grid = GRIDS[precision](scaled.numpy(), parts)

    def nearest(self, weight: Tensor) -> Tensor:
        factors = self._factors = self._factors.to(weight.device)
        return self._grid.nearest((weight * factors).reshape(self._matrix)).view_as(weight) / factors


class ChannelGrid:
    """Whole multiples of a step, up to the largest of the beginning: both signs alike, a step for each channel.

    A channel is what `weight` has along `dims`.
    """

    def __init__(self, weight: Tensor, bits: int, dims: tuple[int, ...]) -> None:
        self._most = 2 ** (bits - 1) - 1
        largest = weight.abs().amax(dims, keepdim=True)
        self._steps = torch.where(largest > 0, largest / self._most, 1.0)

    @property
    def channels(self) -> int:
        """So many steps there are."""
        return self._steps.numel()

    def nearest(self, weight: Tensor) -> Tensor:
        steps = self._steps = self._steps.to(weight.device)
        return (weight / steps).round_().clamp_(-self._most, self._most).mul_(steps)


def lay_channel_grids(bits: int, weights: Mapping[str, Tensor]) -> dict[str, ChannelGrid]:
    """{name: ChannelGrid} of the `weights` {name: tensor} of a language model but its norms, which count as parts of
    the matrices that follow.

    A step is that of an output of a matrix; a vector that is added has one.
    """
    return {
        name: ChannelGrid(weight, bits, _along(name, weight.ndim))
        for name, weight in weights.items()
        if "layer_norm" not in name
    }


def _along(name: str, dimensions: int) -> tuple[int, ...]:
    """What has a step in common."""
    if "bias" in name:
        return tuple(range(dimensions))
    return (1, 2) if name.endswith(".out_weight") else (dimensions - 1,)


GRIDS: dict[str, type[Any]] = {"int4": ScaledGrid, "kmeans4": ClusteredGrid}


def lay_grids(
    precision: str, architecture: Architecture, weights: Mapping[str, Tensor], costs: DeviceCosts = UNMEASURED
) -> dict[str, Grid]:
    """{name: Grid} of each matrix among the `weights` {name: tensor} of a network, whose bundles follow `costs`."""

    def grid(name: str) -> Grid:
        if arrays[name].ndim > 2:
            return HeadsGrid(precision, name, arrays[name], parts[name])
        return GRIDS[precision](arrays[name], parts[name])

    arrays = {name: weight.numpy() for name, weight in weights.items()}
    parts = stored_parts(architecture, arrays, costs.at(precision))
    return {name: grid(name) for name in parts}


class Rounder:
    """Keeps those of `weights` {name: parameter of the optimizer} that have a Grid on it.

    What is zero in `dense` {name: tensor}, with which the training began, stays zero. A training that goes on finds the
    exact weights in the optimizer's state.
    """

    def __init__(
        self,
        grids: Mapping[str, Grid],
        dense: Mapping[str, Tensor],
        weights: Mapping[str, torch.nn.Parameter],
        optimizer: torch.optim.Optimizer,
    ) -> None:
        self._state: Any = optimizer.state
        self._matrices = [
            _Rounded(name, weight, grids[name], (dense[name] != 0).to(weight.device))
            for name, weight in weights.items()
            if name in grids
        ]
        for each in self._matrices:
            each.begin(self._state[each.weight].get(EXACT) if each.weight in self._state else None)
        optimizer.register_step_pre_hook(lambda *_: self._before())
        optimizer.register_step_post_hook(lambda *_: self._after())

    def rounded(self, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Others of the same names, {name: tensor}, where they have a grid rounded and zero as these are."""
        found = {each.name: each.rounded(weights[each.name]) for each in self._matrices}
        return {**weights, **found}

    def _before(self) -> None:
        for each in self._matrices:
            each.restore()

    def _after(self) -> None:
        for each in self._matrices:
            self._state[each.weight][EXACT] = each.round()


class _Rounded:
    def __init__(self, name: str, weight: torch.nn.Parameter, grid: Grid, stays: Tensor) -> None:
        self.name, self.weight, self._grid, self._stays = name, weight, grid, stays

    def rounded(self, weight: Tensor) -> Tensor:
        return self._grid.nearest(weight) * self._stays

    def begin(self, exact: Tensor | None) -> None:
        """Of a training that goes on, `exact` are the weights that its optimiser changes."""
        self._exact = self.weight.detach().clone() if exact is None else exact
        self.weight.data.copy_(self.rounded(self._exact))

    def restore(self) -> None:
        self.weight.data.copy_(self._exact)

    def round(self) -> Tensor:
        """Take over what the optimiser made of the exact weights; returns these."""
        self._exact.copy_(self.weight.detach())
        self.weight.data.copy_(self.rounded(self._exact))
        return self._exact
