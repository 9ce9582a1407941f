"""Models on disk: `model.safetensors` with the weights and `model.json` with all that builds the model.

A model is of the `task` that model.json names; translation's name none.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hat import files
from hat.architecture.complexity import Shapes, parameter_shapes
from hat.architecture.space import SearchSpace
from hat.architecture.stacks import Architecture
from hat.config import from_mapping, to_mapping
from hat.errors import ArtifactError, HatError
from hat.models.classifier_spec import ClassifierSpec
from hat.models.language_model_spec import LanguageModelSpec
from hat.models.translation_spec import ModelSpec

if TYPE_CHECKING:
    import numpy as np


FORMAT = "hat-model"
VERSION = 1
MODEL_FILES = ("model.safetensors", "model.json")
SPECS = {spec.task: spec for spec in (ModelSpec, ClassifierSpec, LanguageModelSpec)}


def _network_classes(task: str) -> tuple[Any, Any]:
    """(SuperTransformer's class, standalone network's class) of a task; imports torch."""
    if task == ClassifierSpec.task:
        from hat.models.classification import Classifier, SuperClassifier

        return SuperClassifier, Classifier
    if task == LanguageModelSpec.task:
        from hat.models.language_model import LanguageModel, SuperLanguageModel

        return SuperLanguageModel, LanguageModel
    from hat.models.translation import SuperTransformer, Transformer

    return SuperTransformer, Transformer


def save_model(directory: Path | str, model: Any) -> None:
    """Write a SuperTransformer or a standalone network to `directory`, weights before description."""
    from safetensors.torch import save

    directory = Path(directory)
    space = getattr(model, "space", None)
    weights = {name: tensor.detach().float().cpu().contiguous() for name, tensor in model.state_dict().items()}
    with files.replacing(directory / "model.safetensors") as temporary:
        temporary.write_bytes(save(weights))  # save_file has its own error for a full disk, and makes the file private
    task = {} if model.spec.task == ModelSpec.task else {"task": model.spec.task}
    files.write_json(
        directory / "model.json",
        {
            "format": FORMAT,
            "version": VERSION,
            **task,
            "kind": "supertransformer" if space else "transformer",
            "architecture": model.architecture.to_dict(),
            "space": space.to_dict() if space else None,
            "spec": to_mapping(model.spec),
        },
    )


def load_model(directory: Path | str) -> Any:
    """The SuperTransformer or standalone network saved in `directory`, in evaluation mode.

    Raises ArtifactError if it is missing, foreign, newer or damaged.
    """
    import torch

    description = _read_description(directory)
    architecture, spec = _architecture_and_spec(description, directory)
    super_network, network = _network_classes(spec.task)
    if description["kind"] == "supertransformer":
        space = from_mapping(SearchSpace, description["space"], f"{directory}/model.json: space")
        model = super_network(space, spec)
    else:
        model = network(architecture, spec)
    weights = _read_weights(directory, parameter_shapes(architecture, spec))
    model.load_state_dict({name: torch.from_numpy(weight) for name, weight in weights.items()})
    return model.eval()


def load_weights(directory: Path | str) -> "tuple[Architecture, Any, dict[str, np.ndarray]]":
    """(Architecture, spec, {name: numpy float32 array}) of a standalone network, without torch.

    Raises ArtifactError if it is missing, foreign, newer or damaged, or a SuperTransformer.
    """
    description = _read_description(directory)
    if description["kind"] != "transformer":
        raise ArtifactError(f"{directory} holds a SuperTransformer; retrain a SubTransformer with hat-train-sub first")
    architecture, spec = _architecture_and_spec(description, directory)
    return architecture, spec, _read_weights(directory, parameter_shapes(architecture, spec))


def load_spec(directory: Path | str) -> Any:
    """The spec, such as a ModelSpec, of the model in `directory`; raises ArtifactError as `load_model` does."""
    return _architecture_and_spec(_read_description(directory), directory)[1]


def _read_description(directory: Path | str) -> dict[str, Any]:
    path = Path(directory) / "model.json"
    description = files.read_json(path, "train a model first (hat-train-super, hat-train-sub)")
    if not isinstance(description, dict) or description.get("format") != FORMAT:
        raise ArtifactError(f"{path} does not describe a HAT model; name a folder that hat-train-* wrote")
    if description.get("version", 0) > VERSION:
        raise ArtifactError(f"{path} has format version {description['version']}, newer than {VERSION}; update HAT")
    if description.setdefault("task", ModelSpec.task) not in SPECS:
        raise ArtifactError(f"{path}: task {description['task']!r} is unknown here; update HAT")
    return description


def _architecture_and_spec(description: dict[str, Any], directory: Path | str) -> tuple[Architecture, Any]:
    where = f"{directory}/model.json"
    try:
        architecture = Architecture.from_dict(description["architecture"], f"{where}: architecture")
        return architecture, from_mapping(SPECS[description["task"]], description["spec"], f"{where}: spec")
    except (HatError, KeyError) as error:
        raise ArtifactError(f"{where} is damaged ({error}); train again or restore it from a copy") from None


def _read_weights(directory: Path | str, shapes: Shapes) -> "dict[str, np.ndarray]":
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    path = Path(directory) / "model.safetensors"
    try:
        weights = load_file(path)
    except FileNotFoundError:
        raise ArtifactError(f"{path} is missing; train a model first (hat-train-super, hat-train-sub)") from None
    except SafetensorError as error:
        raise ArtifactError(f"{path} is truncated or damaged ({error}); train again or restore it") from None
    check_weights({name: weight.shape for name, weight in weights.items()}, shapes, path)
    return {name: weights[name] for name in shapes}


def check_weights(found: Mapping[str, Sequence[int]], expected: Mapping[str, Sequence[int]], path: Path | str) -> None:
    """Raise one ArtifactError listing all weights that are missing, unknown or of another shape."""
    problems = [f"missing {name}" for name in expected if name not in found]
    problems += [f"unknown {name}" for name in found if name not in expected]
    problems += [
        f"{name} is {tuple(found[name])} instead of {tuple(shape)}"
        for name, shape in expected.items()
        if name in found and tuple(found[name]) != tuple(shape)
    ]
    if problems:
        shown = "; ".join(problems[:5]) + (f"; and {len(problems) - 5} more" if len(problems) > 5 else "")
        raise ArtifactError(f"{path} does not hold the described model: {shown}; name the matching checkpoint")
