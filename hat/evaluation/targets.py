"""What `hat-evaluate` can judge: trained models, bundles, and architectures with inherited weights."""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hat import files
from hat.architecture.file import load_architecture
from hat.architecture.stacks import Architecture
from hat.compression.pruned import read_pruned
from hat.config import from_mapping
from hat.errors import ArtifactError
from hat.experiment.run_directory import RunDirectory, stamp

FLOAT_BYTES = 4


@dataclass(frozen=True)
class Target:
    """Something that can be judged, found but not loaded yet.

    `bundle` gives the folder of its bundle: its own, or one made in the new folder that it is given. `answer` maps
    plain sentences to what it makes of them, in their order, a bundle on all cores, a model on a GPU if there is one.
    `precision` is that of its weights; `content` changes whenever the answers may; `result` is where the
    evaluation is kept, None for nowhere. Of the architecture's parameters `removed_parameters` were pruned.
    """

    name: str
    kind: str
    architecture: Architecture
    spec: Any
    precision: str
    beam: int
    size_bytes: int
    content: str
    bundle: Callable
    answer: Callable
    result: Path | None
    removed_parameters: int = 0


def find_target(run: RunDirectory, name: Path | str) -> Target:
    """The Target that `name` means: a sub-training of the run, a model's or bundle's folder, or an architecture file.

    Raises ArtifactError, saying what there is to do, if it is none of them.
    """
    name = str(name)
    trained, path = run.sub(name), Path(name)
    if (trained / "model.json").exists():
        return _model_target(run, name, trained)
    if (path / "bundle.json").exists():
        return _bundle_target(run, path)
    if (path / "model.json").exists():
        return _model_target(run, name, path)
    if path.is_file():
        return _inherited_target(run, path)
    found = run.search(name) / "architecture.yaml"
    if found.exists():
        raise ArtifactError(f"{name!r} is not trained yet; run `hat-train-sub {name}`, or evaluate {found} as it is")
    raise ArtifactError(
        f"{name!r} is neither a sub-training of {run.path} nor the path of a model, a bundle or an architecture file"
    )


def _model_target(run: RunDirectory, name: str, directory: Path) -> Target:
    from hat.models.checkpoint import load_model

    weights = directory / "model.safetensors"
    return _torch_target(
        run,
        name,
        kind="model",
        model=load_model(directory),
        size_bytes=weights.stat().st_size,
        content=files.sha256_of_file(weights),
        result=_inside(run, directory / "evaluation.json"),
        removed_parameters=(read_pruned(directory) or {}).get("removed_parameters", 0),
    )


def _inherited_target(run: RunDirectory, path: Path) -> Target:
    from hat.models.checkpoint import load_model

    model = load_model(run.super_).extract(load_architecture(path))
    return _torch_target(
        run,
        str(path),
        kind="inherited",
        model=model,
        size_bytes=FLOAT_BYTES * sum(weight.numel() for weight in model.parameters()),
        content=files.fingerprint([stamp(run.super_), model.architecture.to_dict()]),
        result=None,
    )


def _torch_target(run: RunDirectory, name: str, model: Any, **found: Any) -> Target:
    judge = run.task.judge(run)
    judge.check_model(name, model.spec)

    def bundle(folder: Path) -> Path:
        run.task.write_trial_bundle(run, model.cpu(), "fp32", folder)
        return folder

    return Target(
        name,
        architecture=model.architecture,
        spec=model.spec,
        precision="fp32",
        beam=judge.beam(),
        bundle=bundle,
        answer=functools.partial(judge.model_answers, model),
        **found,
    )


def _bundle_target(run: RunDirectory, path: Path) -> Target:
    from hat.deploy.bundle import open_bundle

    bundle, judge = open_bundle(path), run.task.judge(run)
    description, where = bundle.description, path / "bundle.json"
    judge.check_bundle(path, description)
    return Target(
        str(path),
        kind="bundle",
        architecture=Architecture.from_dict(description["architecture"], f"{where}: architecture"),
        spec=from_mapping(
            run.task.spec_class,  # type: ignore[attr-defined]
            description["spec"],
            f"{where}: spec",
        ),
        precision=description["precision"],
        beam=judge.beam(description),
        size_bytes=bundle.size_bytes,
        content=files.sha256_of_file(where),  # it holds the digest of every other file
        bundle=lambda _folder: path,
        removed_parameters=description["built_from"].get("pruned", {}).get("removed_parameters", 0),
        answer=functools.partial(judge.bundle_answers, path),
        result=_inside(run, path.resolve().parent / f"evaluation.{path.name}.json"),
    )


def _inside(run: RunDirectory, path: Path) -> Path | None:
    """`path` if it lies in the run directory; elsewhere nothing is written."""
    return path if run.path.resolve() in path.resolve().parents else None
