"""Stage `hat-train-sub`: train one SubTransformer, from scratch or from the SuperTransformer's weights."""

from hat import files
from hat.architecture_file import load_architecture
from hat.checkpoint import load_model, save_model
from hat.data.prepared import PreparedData
from hat.errors import ArtifactError, UsageError
from hat.fairseq_plugin.trainer import validate
from hat.run_directory import FULL, is_current, mark_done, stamp
from hat.training import processes
from hat.training.averaging import average_weights
from hat.training.loop import TrainingLoop
from hat.training.options import TrainingOptions
from hat.training.setup import effective, make_trainer


def train_sub(run, name, architecture, options=None):
    """Train `architecture` into `run.sub(name)`; nothing is done if it is there and its inputs are the same.

    The weights kept are the average of the last `average_checkpoints` saved ones. Raises ArtifactError without
    prepared data, without a SuperTransformer to inherit from, or with a damaged checkpoint; DeviceError.
    """
    options = options or TrainingOptions()
    prepared = PreparedData(run.data)
    training = effective(run.config.sub_training, options)
    init = options.init or training.init
    inputs = {
        **run.sections("seed", "data", "model", "search_space", "sub_training"),
        "max_update": training.max_update,
        "architecture": architecture.to_dict(),
        "init": init,
        "prepared": stamp(run.data),
        "super": stamp(run.super_) if init == "inherit" else None,
    }
    directory = run.sub(name)
    if is_current(directory, inputs):
        print(f"SubTransformer {name} is up to date: {directory}")
        return
    with processes.joined(options.resolved_device()):
        _train(run, name, architecture, prepared, training, init, inputs, options)


def _train(run, name, architecture, prepared, training, init, inputs, options):
    directory = run.sub(name)
    inherited = _inherited(run, architecture) if init == "inherit" else None
    if processes.is_first():
        files.write_yaml(directory / "architecture.yaml", architecture.to_dict())
    processes.barrier()
    model_arguments = ["--arch", "hat_transformer", "--hat-architecture", str(directory / "architecture.yaml")]
    trainer = make_trainer(run, prepared, training, model_arguments, options, directory / "checkpoints")
    transformer = trainer.get_model().transformer
    if inherited is not None:
        transformer.load_state_dict(inherited.state_dict())
    loop = TrainingLoop(
        trainer, training, directory, inputs, f"SubTransformer {name}", keep_snapshots=training.average_checkpoints
    )
    loop.run()
    processes.barrier()
    snapshots = loop.checkpoints.snapshots()
    if not snapshots:
        folder = loop.checkpoints.directory
        raise ArtifactError(f"{folder} has lost its saved weights; remove it to train again")
    transformer.load_state_dict(average_weights(snapshots))
    loss = validate(trainer)["mean"]
    if processes.is_first():
        save_model(directory, transformer)
        mark_done(directory, inputs)
        print(f"SubTransformer {name}: {directory} (validation loss {loss:.3f} nats a token)")
        print(f"next: hat-evaluate {name}, hat-export {name}")


def _inherited(run, architecture):
    if stamp(run.super_) is None:
        raise ArtifactError(f"{run.super_} holds no trained SuperTransformer; run hat-train-super or --init scratch")
    return load_model(run.super_).extract(architecture)


def choose_architecture(run, search=None, architecture=None, name=None):
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
