"""Stage `hat-cache`: a network of the run, with a neural cache whose parameters are searched for."""

from dataclasses import replace
from typing import Any

import numpy as np
import torch

from hat import files
from hat.compression.pruned import carry_pruned, read_pruned
from hat.errors import UsageError
from hat.evaluation.language_modeling.cache_search import search_cache
from hat.experiment.run_directory import CACHE, RunDirectory, check_trained, is_current, mark_done, stamp
from hat.models.checkpoint import MODEL_FILES, load_model, save_model
from hat.models.language_model import LanguageModel
from hat.models.language_model_spec import LanguageModelSpec


def give_cache(run: RunDirectory, name: str, states: int, result: str) -> None:
    """Leave the network `name` of a run with a cache of so many states as its network `result`.

    Nothing is done if it is there and was made of the same. Raises UsageError for a task without such networks, if
    `result` is that of a network that this stage didn't make, or if no cache helps; ArtifactError if `name` isn't
    trained.
    """
    source, directory = run.sub(name), run.sub(result)
    _check(run, name, result)
    weights, pruned = files.sha256_of_file(source / "model.safetensors"), read_pruned(source)
    inputs = {"network": weights, "states": states, "data": stamp(run.data)} | ({"pruned": pruned} if pruned else {})
    if is_current(directory, inputs):
        print(f"{result} is up to date: {directory}")
        return
    with run.working_in(directory):
        model = load_model(source)
        words = torch.from_numpy(np.asarray(run.prepared().stream("valid"), np.int64))
        cache, loss, without = search_cache(model, words, states, lambda found: _tell(run, found))
        if loss >= without:
            raise UsageError(
                f"hat-cache {name}: no cache of {states} states helps (validation loss {run.task.loss_text(loss)} at "
                f"best, {run.task.loss_text(without)} without); nothing was written"
            )
        cached = LanguageModel(model.architecture, replace(model.spec, cache=states))
        parameters = {f"cache.{key}": value for key, value in cache.state_dict().items()}
        cached.load_state_dict({**model.state_dict(), **parameters})
        (directory / "done.json").unlink(missing_ok=True)  # of an earlier one, whose files are replaced one by one
        files.write_yaml(directory / "architecture.yaml", model.architecture.to_dict())
        save_model(directory, cached)
        carry_pruned(source, directory)
        found: dict[str, Any] = {"network": name, **cache.described(), "valid_nats": loss, "nats_without": without}
        files.write_json(directory / CACHE, found)
        mark_done(directory, inputs, MODEL_FILES, stamp(run.data))
    text = run.task.loss_text
    print(f"{result}: {directory} (share {found['share']:.2f}, theta {found['theta']:.3g})")
    print(f"validation loss {text(loss)}; without a cache {text(without)}")
    print(f"next: hat-evaluate {result}, hat-export {result}")


def _tell(run: RunDirectory, loss: float) -> None:
    print(f"validation loss {run.task.loss_text(loss)}", flush=True)


def _check(run: RunDirectory, name: str, result: str) -> None:
    if run.task.name != LanguageModelSpec.task:
        raise UsageError(f"hat-cache {name}: networks of task {run.task.name} have no cache; it is for language models")
    check_trained(run, name)
    directory = run.sub(result)
    if result == name or ((directory / "done.json").exists() and not (directory / CACHE).exists()):
        raise UsageError(f"--name {result}: {directory} holds a training's result; give this one another name")
