"""Stage `hat-compress`: a trained network loses what it can do without, and learns to do with the rest."""

import functools
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from hat import files
from hat.compression.dense import Dense
from hat.compression.pruned import write_pruned
from hat.compression.pruning.pruner import Aim, Pruner, there
from hat.errors import UsageError
from hat.experiment.config import fingerprinted
from hat.experiment.run_directory import is_current, stamp
from hat.experiment.sections import DistillationConfig
from hat.fairseq_plugin.trainer import float32_weights
from hat.models.checkpoint import load_model
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
    the dense network's, InUseError where another process does the same.
    """
    options, run = options or TrainingOptions(), dense.run
    if name == dense.name:
        raise UsageError(f"--name {name}: is the network to be compressed; give the result another name")
    recipe, directory = _recipe(dense, aim, name, options), run.sub(name)
    if is_current(directory, recipe.inputs):
        print(f"compressed network {name} is up to date: {directory}")
        return
    with run.working_in(directory), processes.joined(options.resolved_device()):
        train_in(run, recipe, directory, progress, functools.partial(_attach_pruner, dense, aim, directory))
        _describe(directory, dense)


def _recipe(dense: Dense, aim: Aim, name: str, options: TrainingOptions) -> Recipe:
    run, architecture = dense.run, dense.model.architecture
    training = effective(dense.config, options)
    inputs = {
        **run.sections("seed", "data", "model"),
        "compression": fingerprinted(dense.config),
        "max_update": training.max_update,
        "aim": asdict(aim),
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


def _attach_pruner(dense: Dense, aim: Aim, directory: Path, loop: TrainingLoop) -> Pruner:
    trainer = loop.trainer
    weights = float32_weights(trainer)
    pruner = Pruner(dense.groups, weights, dense.config, dense.before, aim, directory, loop.update)
    # torch's own optimiser, inside fairseq's: its step is over, and fairseq hasn't counted it yet
    optimizer: Any = getattr(trainer.optimizer, "fp32_optimizer", trainer.optimizer)
    optimizer.optimizer.register_step_post_hook(lambda *_: pruner.after(trainer.get_num_updates() + 1))
    return pruner


def _describe(directory: Path, dense: Dense) -> None:
    weights = load_model(directory).state_dict()
    shapes = {name: tuple(weight.shape) for name, weight in weights.items()}
    left = there(dense.groups, weights)
    places = [
        {
            "place": each.place,
            "kind": each.kind,
            "groups": each.count,
            "kept": kept,
            "parameters_each": each.size(shapes),
        }
        for each, kept in zip(dense.groups, left.counts or (), strict=True)
    ]
    rate = dense.before.parameters / left.parameters
    write_pruned(directory, dense.name, rate, places)
    print(f"1 / {rate:.3g} of what could be pruned of {dense.name} is left")
