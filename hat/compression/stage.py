"""Stage `hat-compress`: a trained network loses what it can do without, and learns to do with the rest."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from hat import files
from hat.compression.dense import Dense
from hat.compression.pruned import write_pruned
from hat.compression.pruning.pruner import Aim, Pruner, sizes_of, there
from hat.config import to_mapping
from hat.experiment.config import fingerprinted
from hat.experiment.run_directory import is_current, stamp
from hat.experiment.sections import DistillationConfig
from hat.fairseq_plugin.trainer import float32_weights
from hat.progress import Progress
from hat.training import processes
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
    options, run = options or TrainingOptions(), dense.run
    dense.check_result(name)
    recipe, directory = _recipe(dense, aim, name, options), run.sub(name)
    if is_current(directory, recipe.inputs):
        print(f"compressed network {name} is up to date: {directory}")
        return
    with run.working_in(directory), processes.joined(options.resolved_device()):
        train_in(run, recipe, directory, progress, _Pruning(dense, aim, directory))


def _recipe(dense: Dense, aim: Aim, name: str, options: TrainingOptions) -> Recipe:
    run, architecture = dense.run, dense.model.architecture
    training = effective(dense.config, options)
    inputs = {
        **run.sections("seed", "data", "model"),
        "compression": fingerprinted(dense.config),
        "max_update": training.max_update,
        "aim": to_mapping(aim),
        "dense": files.sha256_of_file(run.sub(dense.name) / "model.safetensors"),
        "architecture": architecture.to_dict(),
        "prepared": stamp(run.data),
    }
    return Recipe(
        name, architecture, run.prepared(), training, "scratch", _lessons(dense), inputs, options, origin=dense.name
    )


def _lessons(dense: Dense) -> DistillationConfig:
    """The dense network teaches word by word; a text that a teacher translated stays what is learnt from."""
    settings = dense.run.config.sub_training.distillation or DistillationConfig()
    return replace(settings, word_level=dense.config.distillation, teachers=(dense.name,))


class _Pruning:
    """What is done beside the training into `directory`: `dense` is pruned to the Aim, and it is written what was."""

    def __init__(self, dense: Dense, aim: Aim, directory: Path) -> None:
        self._dense, self._aim, self._directory = dense, aim, directory
        self.average_since = dense.config.removal_update

    def begin(self, loop: TrainingLoop) -> None:
        trainer, dense = loop.trainer, self._dense
        weights = float32_weights(trainer)
        pruner = Pruner(dense.groups, weights, dense.config, dense.before, self._aim, self._directory, loop.update)
        # torch's own optimiser, inside fairseq's: its step is over, and fairseq hasn't counted it yet
        optimizer: Any = getattr(trainer.optimizer, "fp32_optimizer", trainer.optimizer)
        optimizer.optimizer.register_step_post_hook(lambda *_: pruner.after(trainer.get_num_updates() + 1))

    def end(self, transformer: Any) -> None:
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
        write_pruned(self._directory, self._dense.name, rate, places)
        print(f"1 / {rate:.3g} of what could be pruned of {self._dense.name} is left")
