"""Dense: a trained network that is to be compressed, and what is left of it at any rate."""

import copy
import dataclasses
import functools
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from hat.architecture.complexity import Shapes, parameter_shapes
from hat.architecture.groups import Groups, columns_in_blocks, heads_and_neurons, rows_in_common
from hat.compression.importance import kept_importance
from hat.compression.pruned import block_costs_of, read_pruned
from hat.compression.pruning.pruner import Aim, chosen, scale, there
from hat.compression.sparse import aim_by_sensitivity, tensors
from hat.deploy.building.block_costs import DeviceCosts
from hat.errors import UsageError
from hat.experiment.run_directory import CACHE, RunDirectory, check_trained
from hat.models.checkpoint import load_model

MOST = 100.0  # rate that is ever tried
USUAL_ROWS = 32  # of blocks


@dataclass(frozen=True)
class Plan:
    """What is to be left of a network, of blocks of which height, and the costs of blocks that decide on both."""

    aim: Aim
    block_rows: int
    costs: DeviceCosts


class Dense:
    """The sub-training `name` of a run; raises ArtifactError if it isn't trained.

    Columns are removed within blocks of as many rows as the run's config says, else of `block_rows`, else of USUAL_ROWS
    or the most below that divide its matrices. By `costs` its bundles choose what they multiply by blocks; None: by
    those that it was compressed with before.
    """

    def __init__(
        self, run: RunDirectory, name: str, block_rows: int | None = None, costs: DeviceCosts | None = None
    ) -> None:
        check_trained(run, name)
        self.run, self.name, config = run, name, run.config.compressing
        self.costs = block_costs_of(run.sub(name)) if costs is None else costs
        self.model = load_model(run.sub(name))
        self.weights: dict[str, Any] = self.model.state_dict()
        self.block_rows = config.block_rows or block_rows or math.gcd(USUAL_ROWS, rows_in_common(self.shapes))
        self.config = dataclasses.replace(config, block_rows=self.block_rows)

    @classmethod
    def planned(cls, run: RunDirectory, name: str, plan: Plan) -> "Dense":
        """The Dense that a Plan is for."""
        return cls(run, name, plan.block_rows, plan.costs)

    @property
    def is_sparse(self) -> bool:
        """Whether single weights are removed: their zeros are stored and computed with like any others."""
        return self.config.structure == "weights"

    @functools.cached_property
    def groups(self) -> list[Groups]:
        """What may be removed; raises UsageError for blocks that don't divide its matrices."""
        if self.is_sparse:
            return tensors(self.shapes)
        if self.config.structure == "whole":
            return heads_and_neurons(self.model.architecture, self.shapes)
        return columns_in_blocks(self.shapes, self.block_rows)

    @functools.cached_property
    def importance(self) -> list[Tensor] | None:
        """(groups,) of each of the groups, measured once and kept beside the network; None where size decides."""
        if self.is_sparse or self.config.importance == "size":
            return None
        return kept_importance(self)

    @functools.cached_property
    def before(self) -> Aim:
        """What is there of the groups."""
        return there(self.groups, self.weights)

    def check_result(self, name: str) -> None:
        """Raise UsageError if a result called `name` would take the place of a network that another command left."""
        if name == self.name:
            raise UsageError(f"--name {name}: is the network to be compressed; give the result another name")
        directory = self.run.sub(name)
        if not (directory / "done.json").exists():
            return
        if (directory / CACHE).exists():
            raise UsageError(f"--name {name}: {directory} is a result of hat-cache; give this one another name")
        if read_pruned(directory) is None:
            raise UsageError(f"--name {name}: {directory} was trained without pruning; give the result another name")

    def check_bits(self, asked: str) -> None:
        """Raise UsageError if it was trained for weights and states of few bits, which another training would undo."""
        bits = getattr(self.model.spec, "bits", None)
        if bits is not None:
            raise UsageError(f"{asked}: would undo the {bits} bits of {self.name}; prune first")

    @property
    def earlier_rate(self) -> float:
        """By which it was pruned before: 1 if it wasn't."""
        return sum(each.size(self.shapes) * each.count for each in self.groups) / self.before.parameters

    def at_rate(self, rate: float) -> Aim:
        """The Aim that 1 / `rate` of the groups' parameters are left; raises UsageError if a place would be empty."""
        aim = Aim(self._parameters_at(rate))
        try:
            chosen(self.groups, self.weights, aim, self.config.ranking)  # by size: how few are too few is the same
        except UsageError as error:
            raise UsageError(f"--rate {rate:g} {error}") from None
        return aim

    def by_sensitivity(self, rate: float, folder: Path) -> Aim:
        """The Aim that 1 / `rate` of the single weights are left, counted for each tensor by its sensitivity.

        Losses on the way are kept in `folder`. Raises UsageError if less than is possible would be left of a tensor.
        """
        parameters = self._parameters_at(rate)
        try:
            return aim_by_sensitivity(self, parameters, folder / "sensitivity.json")
        except UsageError as error:
            raise UsageError(f"--rate {rate:g} {error}") from None

    def _parameters_at(self, rate: float) -> int:
        if not rate > 1:
            raise UsageError(f"--rate {rate:g}: nothing would be removed; give more than 1, such as 2")
        return round(self.before.parameters / rate)

    @functools.cached_property
    def highest_rate(self) -> float:
        """A rate that leaves no place empty, near the highest; raises UsageError if there is none."""
        low, high = 1.0, MOST
        for _ in range(12):
            middle = (low * high) ** 0.5
            try:
                self.at_rate(middle)
                low = middle
            except UsageError:
                high = middle
        if low == 1.0:
            raise UsageError(f"{self.name} has nothing to be pruned")
        return low

    def shaped(self, rate: float) -> Aim:
        """`at_rate`, with the groups of each place counted that stay where all are removed at once."""
        return there(self.groups, self._masked(self._chosen(self.at_rate(rate))))

    def plan(self, rate: float) -> Plan:
        """The Plan of what is `shaped`."""
        return Plan(self.shaped(rate), self.block_rows, self.costs)

    def sparse_plan(self, rate: float, folder: Path) -> Plan:
        """The Plan of what is left `by_sensitivity`."""
        return Plan(self.by_sensitivity(rate, folder), self.block_rows, self.costs)

    def pruned(self, aim: Aim) -> Any:
        """A copy of the network, pruned at once and not trained."""
        model = copy.deepcopy(self.model)
        model.load_state_dict(self._masked(self._chosen(aim)))
        return model

    def _chosen(self, aim: Aim) -> list[Tensor]:
        return chosen(self.groups, self.weights, aim, self.config.ranking, self.importance)

    def _masked(self, kept: list[Tensor]) -> dict[str, Any]:
        weights = {name: weight.clone() for name, weight in self.weights.items()}
        for groups, stays in zip(self.groups, kept, strict=True):
            scale(groups, weights, stays.float())
        return weights

    @functools.cached_property
    def shapes(self) -> Shapes:
        """Of its weights, by name."""
        return parameter_shapes(self.model.architecture, self.model.spec)
