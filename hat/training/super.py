"""Stage `hat-train-super`: every update trains sampled SubTransformers (HAT, section 3.2).

Where it is distilled, the full-size network is trained first, gives it its first weights and teaches it (DynaBERT).
"""

from typing import TYPE_CHECKING, Any

from hat.architecture.complexity import parameter_shapes
from hat.experiment.config import fingerprinted
from hat.experiment.run_directory import FULL, RunDirectory, is_current, mark_done, stamp
from hat.experiment.sections import SuperTrainingConfig
from hat.models.checkpoint import MODEL_FILES, load_model, save_model
from hat.models.supernetwork import sliced
from hat.training import processes
from hat.training.checkpoints import read_weights
from hat.training.launch import run_in_processes
from hat.training.loop import TrainingLoop
from hat.training.options import TrainingOptions
from hat.training.setup import effective, make_trainer
from hat.training.sub import pretrained_inputs, train_sub

if TYPE_CHECKING:
    from torch import Tensor


def train_super(run: RunDirectory, options: TrainingOptions | None = None) -> None:
    """Train the SuperTransformer into `run.super_`; nothing is done if it is there and its inputs are the same.

    The weights kept are those with the lowest mean validation loss over the named SubTransformers. A teacher is trained
    first. Raises ArtifactError without prepared data or with a damaged checkpoint, DeviceError without the device,
    InUseError where another process trains it.
    """
    options = options or TrainingOptions()
    prepared = run.prepared()
    training = effective(run.config.super_training, options)
    inputs = {
        **run.sections("seed", "data", "model", "search_space"),
        "super_training": fingerprinted(run.config.super_training),
        "max_update": training.max_update,
        "prepared": stamp(run.data),
    }
    with processes.joined(options.resolved_device()):
        if training.distillation is not None:
            train_sub(run, FULL, run.config.search_space.full_transformer(), options.of_a_teacher())
        inputs |= processes.from_first(lambda: _first_weights(run, training))  # kept where the first process works
        if processes.from_first(lambda: is_current(run.super_, inputs)):
            if processes.is_first():
                print(f"SuperTransformer is up to date: {run.super_}")
        elif options.processes > 1:
            with run.working_in(run.super_):  # else told here, with its status; then it is the processes' own
                pass
            run_in_processes("hat.cli.train_super", ["--run", run.path], options)
        else:
            with processes.entered_by_first(run.working_in(run.super_)):
                _train(run, prepared, training, inputs, options)


def _train(
    run: RunDirectory, prepared: Any, training: SuperTrainingConfig, inputs: dict[str, Any], options: TrainingOptions
) -> None:
    trainer = make_trainer(
        run, prepared, training, ["--arch", run.task.super_model], options, run.super_ / "checkpoints"
    )
    first_weights = processes.from_first(lambda: _begin(run, training, trainer.get_model().transformer))
    if first_weights is not None:
        weights, teacher = first_weights
        trainer.get_model().transformer.load_state_dict(weights)
        if teacher is not None:
            trainer.task.learn_from(trainer, [teacher], training.distillation.logits, training.distillation.hidden)
    loop = TrainingLoop(trainer, training, run.super_, inputs, "SuperTransformer")
    loop.run()
    if not processes.is_first():
        return
    transformer = trainer.get_model().transformer.float()
    transformer.load_state_dict(read_weights(loop.checkpoints.best))
    save_model(run.super_, transformer)
    mark_done(run.super_, inputs, MODEL_FILES, stamp(run.data))
    print(f"SuperTransformer: {run.super_} (mean validation loss {run.task.loss_text(loop.state.best)})")
    print("next: hat-measure-latency, then hat-search --latency BUDGET")


def _first_weights(run: RunDirectory, training: SuperTrainingConfig) -> dict[str, Any]:
    """What the weights before the first update depend on; {} where they are drawn."""
    return {"teacher": stamp(run.sub(FULL))} if training.distillation else pretrained_inputs(run)


def _begin(run: RunDirectory, training: SuperTrainingConfig, model: Any) -> "tuple[dict[str, Tensor], Any] | None":
    """(weights to begin with, the network that teaches or None), or None where they stay as they were drawn."""
    if training.distillation is not None:
        teacher = run.task.importance_ordered(run, load_model(run.sub(FULL)))
        return sliced(teacher.state_dict(), parameter_shapes(model.architecture, model.spec)), teacher
    if run.task.pretrained_files(run.config):
        return run.task.pretrained_weights(run, model.architecture), None
    return None
