"""The export stage: a trained SubTransformer becomes bundles that do what it does."""

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hat import __version__, files
from hat.architecture.stacks import Architecture
from hat.compression.pruned import block_costs_of, read_pruned
from hat.config import to_mapping
from hat.deploy.building.graphs import PRECISIONS
from hat.deploy.building.standalone import add_runtime
from hat.deploy.bundle import VERSION, open_bundle
from hat.errors import ArtifactError, UsageError
from hat.experiment.run_directory import RunDirectory, mark_done, stamp
from hat.models.checkpoint import load_weights

ALLOWED_DROP = 0.3  # of the quality, which is 0 to 100


def export(
    run: RunDirectory,
    name: str,
    precisions: Sequence[str] | None = None,
    standalone: bool = False,
    allowed_drop: float = ALLOWED_DROP,
) -> None:
    """Leave a checked bundle of the sub-training `name` in run.export(name)/PRECISION for each precision.

    None given: those of the task. An fp32 bundle must do what PyTorch does on a sample of the validation set, else
    ArtifactError is raised and what was there before stays. Another one must not lose more than `allowed_drop` of the
    task's quality (0 to 100) against fp32 on the validation set, else the same happens to it, but the others are left
    nevertheless. Bundles that are up to date are left alone. Sizes and results of the checks go to export.json. With
    `standalone` each bundle has the one-file runtime in it.
    """
    precisions = precisions or run.task.precisions
    for precision in precisions:
        if precision not in PRECISIONS:
            raise UsageError(f"precision {precision!r} is not one of {', '.join(PRECISIONS)}")
    directory, weights = run.export(name), _finite_weights(run.sub(name))
    inputs = _inputs(run, name)
    outdated = [precision for precision in precisions if not _is_current(directory / precision, inputs)]
    if standalone:
        for precision in set(precisions) - set(outdated):
            add_runtime(directory / precision)
    if not outdated:
        print(f"export is up to date: {directory}")
        return
    building = directory.with_name(f".{name}.building")
    shutil.rmtree(building, ignore_errors=True)
    try:
        maker = run.task.bundle_maker(run, name, weights, inputs)
        results = _build(maker, name, outdated, building, standalone)
        refusals = _refusals(maker, results, allowed_drop)
        accepted = {precision: result for precision, result in results.items() if precision not in refusals}
        _install(directory, building, accepted)
    finally:
        shutil.rmtree(building, ignore_errors=True)
    if refusals:
        raise ArtifactError("; ".join(refusals.values()))
    described = [f"{precision}/bundle.json" for precision in PRECISIONS if (directory / precision).exists()]
    mark_done(directory, inputs, described)  # each holds the digests of all its bundle's files
    print(f"bundles: {directory}\nnext: {run.task.command} {directory / outdated[0]} < input.txt > output.txt")


def trained_names(run: RunDirectory) -> list[str]:
    """Names of all finished sub-trainings of a run; raises ArtifactError if there are none."""
    names = sorted(path.parent.name for path in (run.path / "sub").glob("*/done.json"))
    if not names:
        raise ArtifactError(f"{run.path} holds no trained SubTransformer yet; run hat-train-sub")
    return names


def _finite_weights(trained: Path) -> tuple[Architecture, Any, dict[str, np.ndarray]]:
    """`load_weights`; raises ArtifactError if training left values that are not numbers."""
    architecture, spec, weights = load_weights(trained)
    broken = [name for name, weight in weights.items() if not np.isfinite(weight).all()]
    if broken:
        path = trained / "model.safetensors"
        raise ArtifactError(f"{path} holds infinities or NaN in {broken[0]}; train it again at a lower rate")
    return architecture, spec, weights


def _inputs(run: RunDirectory, name: str) -> dict[str, Any]:
    """Everything that the bundles of `name` are made from."""
    trained = run.sub(name)
    costs = block_costs_of(trained)
    return {
        **({"block_costs": to_mapping(costs)} if costs.device else {}),
        "format": VERSION,
        "weights_sha256": files.sha256_of_file(trained / "model.safetensors"),
        "description_sha256": files.sha256_of_file(trained / "model.json"),
        "data": stamp(run.data),
        **run.sections("evaluation"),
    }


def _is_current(bundle: Path, inputs: Mapping[str, Any]) -> bool:
    try:
        return open_bundle(bundle).description["built_from"].get("inputs") == files.fingerprint(inputs)
    except ArtifactError:
        return False


def _build(maker: Any, name: str, precisions: Sequence[str], building: Path, standalone: bool) -> dict[str, Any]:
    """Write bundles into the folder `building` and judge them; {precision: what export.json says of it}.

    Beside `precisions` there is always fp32, which the others are compared with.
    """
    built = {precision: building / precision for precision in ("fp32", *precisions)}
    for precision, bundle in built.items():
        maker.write(precision, bundle)
        if standalone:
            add_runtime(bundle)
    results, judged = {}, maker.judge(built)
    for precision in precisions:
        size_bytes = open_bundle(built[precision]).size_bytes
        print(f"{name} {precision}: {size_bytes / 1e6:.1f} MB, {maker.describe_check(judged[precision])}")
        print(f"{name} {precision}: {maker.describe_quality(judged[precision])}")
        results[precision] = {"size_bytes": size_bytes, **judged[precision]}
    return results


def _refusals(maker: Any, results: dict[str, Any], allowed_drop: float) -> dict[str, str]:
    """{precision: why its bundle must not be installed}"""
    reasons = {precision: maker.refusal(precision, result, allowed_drop) for precision, result in results.items()}
    return {precision: reason for precision, reason in reasons.items() if reason}


def built_from(run: RunDirectory, name: str, inputs: Mapping[str, Any]) -> dict[str, Any]:
    """What bundle.json says of where the bundle of the sub-training `name` comes from."""
    pruned = read_pruned(run.sub(name))
    kept = ("dense", "rate", "removed_parameters", "weights")
    return {
        **({"pruned": {key: pruned[key] for key in kept if key in pruned}} if pruned else {}),
        "experiment": run.config.name,
        "model": name,
        "weights_sha256": inputs["weights_sha256"],
        "inputs": files.fingerprint(inputs),
        "hat_version": __version__,
    }


def _install(directory: Path, building: Path, results: dict[str, Any]) -> None:
    """Move the built bundles into place, one rename each, and add their results to export.json."""
    directory.mkdir(parents=True, exist_ok=True)
    for precision in results:
        (directory / f"evaluation.{precision}.json").unlink(missing_ok=True)  # it judged the bundle before
        bundle, previous = directory / precision, directory / f".{precision}.previous"
        shutil.rmtree(previous, ignore_errors=True)
        if bundle.exists():
            bundle.rename(previous)
        (building / precision).rename(bundle)
        shutil.rmtree(previous, ignore_errors=True)
    path = directory / "export.json"
    known = files.read_json(path, "remove it and export again") if path.exists() else {"bundles": {}}
    files.write_json(path, {"bundles": {**known["bundles"], **results}})
