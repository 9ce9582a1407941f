"""Recipe: how one SubTransformer is trained, in whatever folder, and the training by it."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from hat import files
from hat.architecture.stacks import Architecture
from hat.errors import ArtifactError
from hat.experiment.run_directory import RunDirectory, check_supertransformer, mark_done, stamp
from hat.experiment.sections import CompressionConfig, DistillationConfig, SubTrainingConfig
from hat.fairseq_plugin.trainer import HatTrainer, validate
from hat.models.checkpoint import MODEL_FILES, load_model, save_model
from hat.progress import Progress
from hat.training import machines, processes
from hat.training.averaging import average_weights
from hat.training.distillation import check_is_here, load_teachers
from hat.training.distilled_text import SPLIT, distilled_data
from hat.training.loop import TrainingLoop, resumable_inputs
from hat.training.options import TrainingOptions
from hat.training.setup import make_trainer
from hat.training.teacher_labels import TeacherLabels, labels_directory, write_labels

if TYPE_CHECKING:
    from torch import Tensor

    from hat.training.checkpoints import Checkpoints


ARCHITECTURE = "architecture.yaml"


class Extra(Protocol):
    """What is done beside a training; weights saved after the update `average_since` alone are averaged."""

    average_since: int

    def begin(self, loop: TrainingLoop, /) -> None:
        """Before the first update that is left."""

    def result(self) -> "dict[str, Tensor] | None":
        """After the last update, {name: tensor} to be kept; None: the mean or the last of the saved ones."""

    def end(self, transformer: Any, directory: Path, /) -> None:
        """With the trained network and its folder, before the stage counts as finished."""


@dataclass(frozen=True)
class Recipe:
    """How a SubTransformer is trained, in whatever folder; `inputs` is all that the result depends on.

    `origin` is the folder of the network whose weights it begins with, the run's SuperTransformer or a finished
    sub-training; None: they are drawn, or pretrained.
    """

    name: str
    architecture: Architecture
    prepared: object
    training: SubTrainingConfig | CompressionConfig
    origin: Path | None
    distillation: DistillationConfig | None
    inputs: dict
    options: TrainingOptions

    @property
    def course(self) -> str:
        """Fingerprint of what the losses on the way depend on."""
        return files.fingerprint(resumable_inputs(self.inputs, self.training))


def begin(
    run: RunDirectory, recipe: Recipe, directory: Path, progress: Callable[..., Progress], begun: Path | None = None
) -> tuple[HatTrainer, TrainingLoop]:
    """(fairseq Trainer, TrainingLoop) of a training in `directory`, at the update it has come to.

    It goes on from the folder `begun` of another training with the same inputs, if there is one.
    """
    weights = processes.from_first(lambda: _initial_weights(run, recipe))
    machines.first_here(lambda: write_architecture(recipe, directory))
    model_arguments = ["--arch", run.task.sub_model, "--hat-architecture", str(directory / ARCHITECTURE)]
    prepared, data_arguments = _training_text(run, recipe)
    arguments, checkpoints = model_arguments + data_arguments, directory / "checkpoints"
    trainer = make_trainer(run, prepared, recipe.training, arguments, recipe.options, checkpoints)
    if recipe.distillation and recipe.distillation.by_word:
        trainer.task.learn_from(trainer, _teachers(run, recipe), *recipe.distillation.shares)
    if weights is not None:
        trainer.get_model().transformer.load_state_dict(weights)
    title, snapshots = f"SubTransformer {recipe.name}", recipe.training.average_checkpoints
    loop = TrainingLoop(trainer, recipe.training, directory, recipe.inputs, title, snapshots, begun, progress)
    run.task.begin_training(trainer, recipe.training)
    return trainer, loop


def write_architecture(recipe: Recipe, directory: Path) -> None:
    """Leave ARCHITECTURE in `directory`, which fairseq's model reads."""
    files.write_yaml(directory / ARCHITECTURE, recipe.architecture.to_dict())


def _teachers(run: RunDirectory, recipe: Recipe) -> Any:
    """What a task's `learn_from` takes: Transformers, or the TeacherLabels that they write here."""
    settings = recipe.distillation
    if not settings.labels:
        return processes.from_first(lambda: load_teachers(run, settings))
    device = recipe.options.resolved_device()
    machines.first_here(lambda: write_labels(run, settings, device))
    return TeacherLabels(labels_directory(run, settings))


def _training_text(run: RunDirectory, recipe: Recipe) -> tuple[Any, list[str]]:
    """(prepared data, fairseq-train arguments naming its training splits); a teacher's translations are made here."""
    settings = recipe.distillation
    if settings is None or settings.sequence_level == "none":
        return recipe.prepared, []
    teacher, beam = settings.sequence_teacher, settings.sequence_beam

    def translate() -> None:
        check_is_here(run, [teacher])
        distilled_data(run, teacher, beam)

    machines.first_here(translate)
    prepared = distilled_data(run, teacher, beam)
    instead = settings.sequence_level == "instead"
    return prepared, ["--train-subset", SPLIT] if instead else ["--upsample-primary", "1"]


def train_in(
    run: RunDirectory,
    recipe: Recipe,
    directory: Path,
    progress: Callable[..., Progress],
    extra: Extra | None = None,
) -> None:
    """Train by the Recipe into `directory`, and leave the weights there as a finished stage.

    They are the mean of the last saved ones, or the last where these have the lower validation loss: while the rate
    still falls, or in a short training, the mean lags behind.
    """
    trainer, loop = begin(run, recipe, directory, progress, begun=run.finalist(recipe.architecture))
    if extra:
        extra.begin(loop)
    loop.run()
    transformer = trainer.get_model().transformer.float()
    since, weights = (extra.average_since, extra.result()) if extra else (0, None)
    choices = [weights] if weights else processes.from_first(lambda: _to_choose_from(recipe, loop.checkpoints, since))
    loss = _load_best(trainer, transformer, choices)
    if processes.is_first():
        save_model(directory, transformer)
        if extra:
            extra.end(transformer, directory)
        mark_done(directory, recipe.inputs, MODEL_FILES, stamp(run.data))
        print(f"SubTransformer {recipe.name}: {directory} (validation loss {run.task.loss_text(loss)})")
        print(f"next: hat-evaluate {recipe.name}, hat-export {recipe.name}")


def _to_choose_from(recipe: Recipe, checkpoints: "Checkpoints", since: int) -> "list[dict[str, Tensor]]":
    """Weights to choose from; one alone where there is nothing to average."""
    snapshots = checkpoints.snapshots(since)[-recipe.training.average_checkpoints :]
    if not snapshots:
        raise ArtifactError(f"{checkpoints.directory} has lost its saved weights; remove it to train again")
    return [average_weights(paths) for paths in (snapshots, snapshots[-1:])[: len(snapshots)]]


def _load_best(trainer: HatTrainer, transformer: Any, choices: "list[dict[str, Tensor]]") -> float:
    """Load the weights of lowest validation loss, the first among equals; returns that loss, in nats a token."""
    losses = []
    for weights in choices:
        transformer.load_state_dict(weights)
        losses.append(validate(trainer)["mean"])
    best = losses.index(min(losses))
    if best != len(choices) - 1:  # the last ones are still loaded
        transformer.load_state_dict(choices[best])
    return losses[best]


def _initial_weights(run: RunDirectory, recipe: Recipe) -> "dict[str, Tensor] | None":
    """{name: tensor} before the first update; None where they are drawn."""
    if recipe.origin is None:
        return run.task.pretrained_weights(run, recipe.architecture) if run.task.pretrained_files(run.config) else None
    if recipe.origin == run.super_:
        check_supertransformer(run, " or --init scratch")
        return load_model(run.super_).extract(recipe.architecture).state_dict()
    return load_model(recipe.origin).state_dict()
