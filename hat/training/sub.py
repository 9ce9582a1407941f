"""Stage `hat-train-sub`: train one SubTransformer, from scratch or from the SuperTransformer's weights."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from hat import files
from hat.architecture.file import load_architecture
from hat.architecture.stacks import Architecture
from hat.errors import ArtifactError, UsageError
from hat.experiment.config import fingerprinted
from hat.experiment.run_directory import FULL, RunDirectory, is_current, stamp
from hat.fairseq_plugin.trainer import validate
from hat.progress import Progress
from hat.training import processes
from hat.training.distillation import distillation_inputs, distillation_of, lacks_full
from hat.training.launch import run_in_processes
from hat.training.options import TrainingOptions
from hat.training.recipe import ARCHITECTURE, Recipe, begin, train_in, write_architecture
from hat.training.setup import effective

BRIEF = "brief.json"  # in a finalist's folder: validation losses by update


def train_sub(
    run: RunDirectory,
    name: str,
    architecture: Architecture,
    options: TrainingOptions | None = None,
    progress: Callable[..., Progress] = Progress,
) -> None:
    """Train `architecture` into `run.sub(name)`; nothing is done if it is there and its inputs are the same.

    It goes on from where `train_briefly` left it. The weights kept are the average of the last `average_checkpoints`
    saved ones, or the last one by itself, whichever has the lower validation loss. The full-size Transformer is trained
    first if it is to teach and isn't there. Raises ArtifactError without prepared data, without a SuperTransformer to
    inherit from, without another teacher, or with a damaged checkpoint; DeviceError; InUseError where another process
    trains it. `progress` makes what shows the progress.
    """
    options = options or TrainingOptions()
    with processes.joined(options.resolved_device()):
        if processes.from_first(lambda: lacks_full(run, [name])):
            train_sub(run, FULL, run.config.search_space.full_transformer(), options.of_a_teacher())
        # what it depends on is the first process's to know: it keeps the results that a recipe builds on
        recipe = processes.from_first(lambda: _recipe(run, name, architecture, options))
        recipe, directory = replace(recipe, prepared=run.prepared(), options=options), run.sub(name)
        if processes.from_first(lambda: is_current(directory, recipe.inputs)):
            if processes.is_first():
                print(f"SubTransformer {name} is up to date: {directory}")
        elif options.processes > 1:
            with run.working_in(directory):
                write_architecture(recipe, directory)
            named = ["--architecture", directory / ARCHITECTURE, "--name", name, "--run", run.path]
            run_in_processes("hat.cli.train_sub", named, options)
        else:
            with processes.entered_by_first(run.working_in(directory)):
                train_in(run, recipe, directory, progress)


def train_briefly(
    run: RunDirectory,
    name: str,
    architecture: Architecture,
    until: int,
    options: TrainingOptions | None = None,
    progress: Callable[..., Progress] = Progress,
) -> float:
    """Do the first `until` updates of the training of `architecture`, into its folder among the run's finalists.

    Returns the validation loss there, in nats a token. What was done before isn't repeated, unless it went on beyond
    `until` without a validation there; what was done on another course (`resumable_inputs`) is dropped. `name` decides
    whether it has teachers, as in `train_sub`, but all of them must be trained; raises what that does. In one process
    only.
    """
    options = options or TrainingOptions()
    recipe = _recipe(run, name, architecture, options)
    directory = run.finalist(architecture)
    losses = _brief_losses(directory, recipe.course)
    if losses is None or (until not in losses and any(update > until for update in losses)):
        shutil.rmtree(directory, ignore_errors=True)
        losses = {}
        _keep_brief_losses(directory, recipe.course, losses)
    if until in losses:
        return losses[until]
    with processes.joined(recipe.options.resolved_device()):
        trainer, loop = begin(run, recipe, directory, progress)
        loop.run(until)
        losses[until] = validate(trainer)["mean"]
    _keep_brief_losses(directory, recipe.course, losses)
    return losses[until]


def is_up_to_date(run: RunDirectory, name: str, architecture: Architecture, options: TrainingOptions) -> bool:
    """Whether `train_sub` would find its result up to date."""
    return is_current(run.sub(name), _recipe(run, name, architecture, options).inputs)


def brief_loss(
    run: RunDirectory, name: str, architecture: Architecture, until: int, options: TrainingOptions
) -> float | None:
    """What `train_briefly` returned for the same arguments, in nats a token; None if it hasn't come so far."""
    recipe = _recipe(run, name, architecture, options)
    return (_brief_losses(run.finalist(architecture), recipe.course) or {}).get(until)


def _brief_losses(directory: Path, course: str) -> dict[int, float] | None:
    """Update -> validation loss that `train_briefly` recorded on this course; None if it never began on it."""
    if not (directory / BRIEF).exists():
        return None
    kept = files.read_json(directory / BRIEF, f"remove {directory} to train from the start")
    if kept["inputs"] != course:
        return None
    return {int(update): loss for update, loss in kept["losses"].items()}


def _keep_brief_losses(directory: Path, course: str, losses: dict[int, float]) -> None:
    files.write_json(directory / BRIEF, {"inputs": course, "losses": losses})


def _recipe(run: RunDirectory, name: str, architecture: Architecture, options: TrainingOptions) -> Recipe:
    """The Recipe of the sub-training `name`, whose teachers must be trained."""
    prepared = run.prepared()
    training = effective(run.config.sub_training, options)
    init = _initial(run, name, options)
    spec = run.task.spec(run.config, prepared)
    inputs = {
        **run.sections("seed", "data", "model", "search_space"),
        "sub_training": fingerprinted(replace(run.config.sub_training, distillation=None)),
        "distillation": distillation_inputs(run, name, spec, training.max_update),
        "max_update": training.max_update,
        "architecture": architecture.to_dict(),
        "init": init,
        "prepared": stamp(run.data),
        "super": stamp(run.super_) if init == "inherit" else None,
        **(pretrained_inputs(run) if init == "scratch" else {}),
    }
    origin = run.super_ if init == "inherit" else None
    return Recipe(name, architecture, prepared, training, origin, distillation_of(run, name), inputs, options)


def _initial(run: RunDirectory, name: str, options: TrainingOptions) -> str:
    """Whether a sub-training begins from 'scratch', as the SuperTransformer's teacher must, or is to 'inherit'."""
    if name != FULL or run.config.super_training.distillation is None:
        return options.init or run.config.sub_training.init
    if options.init == "inherit":
        raise UsageError(
            f"--init inherit: {FULL} teaches the SuperTransformer (super_training.distillation), so that it can't "
            "inherit from it; leave --init out, or name another result with --name"
        )
    return "scratch"


def pretrained_inputs(run: RunDirectory) -> dict[str, Any]:
    """What a training from scratch depends on beside its config: digests of the files that its weights come from."""
    found = run.task.pretrained_files(run.config)
    for path in found:
        if not path.exists():
            raise ArtifactError(f"{path} is missing, from which trainings begin (model.pretrained); put it back")
    return {"pretrained": [files.sha256_of_file(path) for path in found]} if found else {}


def choose_architecture(
    run: RunDirectory, search: str | None = None, architecture: Path | str | None = None, name: str | None = None
) -> tuple[str, Architecture]:
    """(name of the result, Architecture) that a command's arguments mean.

    `architecture` is a file, or 'full' for the full-size Transformer; without it, it is the choice of a finished
    `search`, by default the only one. Raises UsageError if it can't be told, ArtifactError if there is no such search.
    """
    if architecture == FULL:
        return name or search or FULL, run.config.search_space.full_transformer()
    if architecture is not None:
        if name is None and search is None:
            raise UsageError("--architecture FILE needs --name, the name of the result")
        return name or search, load_architecture(architecture)
    found = sorted(path.parent.name for path in (run.path / "search").glob("*/architecture.yaml"))
    if search is None and len(found) != 1:
        listed = f"one of {', '.join(found)}" if found else "after hat-search, or use --architecture FILE"
        raise UsageError(f"name the search whose winner is to be trained: {listed}")
    search = search or found[0]
    if search not in found:
        listed = ", ".join(found) or "none"
        raise ArtifactError(f"{run.search(search)} holds no architecture.yaml; finished searches: {listed}")
    return name or search, load_architecture(run.search(search) / "architecture.yaml")
