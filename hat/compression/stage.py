"""Stage `hat-compress`: a trained network loses what it can do without, and learns to do with the rest."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from hat import files
from hat.compression.dense import Dense, Plan
from hat.compression.moving_average import MovingAverage
from hat.compression.pruned import write_pruned
from hat.compression.pruning.pruner import Aim, Pruner, sizes_of, there
from hat.compression.rounding import Rounder, lay_channel_grids, lay_grids
from hat.config import to_mapping
from hat.experiment.config import fingerprinted
from hat.experiment.run_directory import is_current, stamp
from hat.experiment.sections import DistillationConfig
from hat.fairseq_plugin.trainer import float32_weights, optimised_weights, torch_optimizer
from hat.progress import Progress
from hat.training import processes
from hat.training.launch import run_in_processes
from hat.training.loop import TrainingLoop
from hat.training.options import TrainingOptions
from hat.training.recipe import Recipe, train_in
from hat.training.setup import effective


def compress(
    dense: Dense,
    aim: Aim,
    name: str,
    options: TrainingOptions | None = None,
    progress: Callable[..., Progress] = Progress,
) -> None:
    """Prune `dense` to the Aim into the sub-training `name` of its run, and train what is left.

    Nothing is done if it is there and its inputs are the same; interrupted, it goes on. Raises UsageError if `name` is
    that of a network that wasn't compressed, InUseError where another process does the same.
    """
    target = ["--plan", json.dumps(to_mapping(Plan(aim, dense.block_rows, dense.costs)))]
    _train(dense, {"aim": to_mapping(aim)}, _Pruning(dense, aim), target, name, options, progress)


def learn_rounded(
    dense: Dense,
    precision: str,
    name: str,
    options: TrainingOptions | None = None,
    progress: Callable[..., Progress] = Progress,
) -> None:
    """The same for weights that bundles of this `precision`, a key of `rounding.GRIDS`, can express."""
    target = ["--weights", precision]
    _train(dense, {"weights": precision}, _Rounding(dense, precision), target, name, options, progress)


def learn_few_bits(
    dense: Dense,
    bits: int,
    name: str,
    options: TrainingOptions | None = None,
    progress: Callable[..., Progress] = Progress,
) -> None:
    """The same for a language model whose weights, and the states that they are multiplied by, have so many bits."""
    _train(dense, {"bits": bits}, _FewBits(dense, bits), ["--bits", str(bits)], name, options, progress)


def _train(
    dense: Dense,
    inputs: dict[str, Any],
    extra: "_Compression",
    target: Sequence[str],
    name: str,
    options: TrainingOptions | None,
    progress: Callable[..., Progress],
) -> None:
    """Train what the `inputs` and `extra` say, and hat-compress by its option `target`."""
    options, run = options or TrainingOptions(), dense.run
    dense.check_result(name)
    recipe, directory = _recipe(dense, inputs, name, options), run.sub(name)
    with processes.joined(options.resolved_device()):
        if processes.from_first(lambda: is_current(directory, recipe.inputs)):
            if processes.is_first():
                print(f"compressed network {name} is up to date: {directory}")
        elif options.processes > 1:
            named = [dense.name, "--name", name, *target, "--run", run.path]
            run_in_processes("hat.cli.compress", named, options)
        else:
            with processes.entered_by_first(run.working_in(directory)):
                train_in(run, recipe, directory, progress, extra)


def _recipe(dense: Dense, ours: dict[str, Any], name: str, options: TrainingOptions) -> Recipe:
    run, architecture = dense.run, dense.model.architecture
    training = effective(dense.config, options)
    inputs = {
        **run.sections("seed", "data", "model"),
        "compression": fingerprinted(dense.config),
        "max_update": training.max_update,
        **({"block_costs": to_mapping(dense.costs)} if dense.costs.device else {}),
        **ours,
        "dense": files.sha256_of_file(run.sub(dense.name) / "model.safetensors"),
        "architecture": architecture.to_dict(),
        "prepared": stamp(run.data),
    }
    origin = run.sub(dense.name)
    return Recipe(name, architecture, run.prepared(), training, origin, _lessons(dense), inputs, options)


def _lessons(dense: Dense) -> DistillationConfig:
    """The dense network teaches word by word; a text that a teacher translated stays what is learnt from."""
    settings = dense.run.config.sub_training.distillation or DistillationConfig()
    return settings.taught_by(dense.name, dense.config.distillation)


class _Compression:
    """What is done beside the training of what is left of `dense`; pruned.json says in the end what that is."""

    average_since = 0
    weights = ""  # the precision whose values they have; any without one

    def __init__(self, dense: Dense) -> None:
        self._dense = dense

    def begin(self, loop: TrainingLoop) -> None:
        raise NotImplementedError

    def result(self) -> dict[str, Any] | None:
        return None

    def end(self, transformer: Any, directory: Path) -> None:
        groups, before = self._dense.groups, self._dense.before
        weights = transformer.state_dict()
        left = there(groups, weights)
        places = [
            {
                "place": each.place,
                "kind": each.kind,
                "groups": each.count,
                "kept": kept,
                "parameters_each": size,
            }
            for each, kept, size in zip(groups, left.counts or (), sizes_of(groups, weights), strict=True)
        ]
        rate = before.parameters / left.parameters
        write_pruned(directory, self._dense.name, rate, places, self.weights, self._dense.costs)
        if rate > 1 and not self.weights:
            print(f"1 / {rate:.3g} of what could be pruned of {self._dense.name} is left")


class _Pruning(_Compression):
    """Groups are removed down to the Aim."""

    def __init__(self, dense: Dense, aim: Aim) -> None:
        super().__init__(dense)
        self._aim = aim
        self.average_since = dense.config.removal_update

    def begin(self, loop: TrainingLoop) -> None:
        trainer, dense = loop.trainer, self._dense
        weights = float32_weights(trainer)
        importance = processes.from_first(lambda: dense.importance)
        pruner = Pruner(
            dense.groups, weights, dense.config, dense.before, self._aim, loop.directory, loop.update, importance
        )
        # fairseq hasn't counted the update yet
        torch_optimizer(trainer).register_step_post_hook(lambda *_: pruner.after(trainer.get_num_updates() + 1))


class _Rounding(_Compression):
    """Matrices have values that the bundle of a precision stores."""

    def __init__(self, dense: Dense, precision: str) -> None:
        super().__init__(dense)
        self.weights = precision

    def begin(self, loop: TrainingLoop) -> None:
        self.average_since = loop.training.max_update - 1  # a mean of several would lie between the values
        trainer, dense = loop.trainer, self._dense
        grids = lay_grids(self.weights, dense.model.architecture, dense.weights, dense.costs)
        Rounder(grids, dense.weights, optimised_weights(trainer), torch_optimizer(trainer))


class _FewBits(_Compression):
    """Weights, a step for each output channel, and states are rounded; what is kept is the weights' moving average."""

    def __init__(self, dense: Dense, bits: int) -> None:
        super().__init__(dense)
        self._bits, self.weights = bits, f"{bits}bit"

    def begin(self, loop: TrainingLoop) -> None:
        trainer, dense = loop.trainer, self._dense
        bounds = dense.run.task.state_bounds(dense.run, dense.model)
        trainer.get_model().transformer.round_states(self._bits, bounds)
        weights, optimizer = optimised_weights(trainer), torch_optimizer(trainer)
        self._average = MovingAverage(weights, optimizer)
        # before the Rounder's hook: of exact weights; fairseq hasn't counted the update yet
        optimizer.register_step_post_hook(lambda *_: self._average.after(trainer.get_num_updates() + 1))
        self._rounder = Rounder(lay_channel_grids(self._bits, dense.weights), dense.weights, weights, optimizer)

    def result(self) -> dict[str, Any]:
        return self._rounder.rounded(self._average.weights())
