"""The export stage: a trained SubTransformer becomes bundles that translate as it does."""

import shutil

import numpy as np

from hat import __version__, files
from hat.checkpoint import load_weights
from hat.config import to_mapping
from hat.data.prepared import PreparedData
from hat.deploy.bundle import VERSION, open_bundle
from hat.deploy.bundle_writer import write_bundle
from hat.deploy.graphs import PRECISIONS, build_graphs
from hat.deploy.positions import MAX_POSITIONS
from hat.deploy.standalone import add_runtime
from hat.errors import ArtifactError, UsageError
from hat.export_check import Reference
from hat.run_directory import mark_done, stamp


def export(run, name, precisions=PRECISIONS, standalone=False):
    """Leave a checked bundle of the sub-training `name` in run.export(name)/PRECISION for each precision.

    An fp32 bundle must translate a sample of the validation set as PyTorch does, else ArtifactError is raised and what
    was there before stays; for int8 the difference is reported. Bundles that are up to date are left alone.
    Sizes and results of the checks go to export.json. With `standalone` each bundle has the one-file runtime in it.
    """
    for precision in precisions:
        if precision not in PRECISIONS:
            raise UsageError(f"precision {precision!r} is not one of {', '.join(PRECISIONS)}")
    directory = run.export(name)
    model = _finite_weights(run.sub(name))
    prepared = PreparedData(run.data)
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
        for precision in outdated:
            _write(run, name, precision, model, prepared, inputs, building / precision)
            if standalone:
                add_runtime(building / precision)
        checks = _check(run, name, outdated, prepared, building)
        _install(directory, building, checks)
    finally:
        shutil.rmtree(building, ignore_errors=True)
    mark_done(directory, inputs)
    print(f"bundles: {directory}\nnext: hat-translate {directory / outdated[0]} < input.txt > output.txt")


def trained_names(run):
    """Names of all finished sub-trainings of a run; raises ArtifactError if there are none."""
    names = sorted(path.parent.name for path in (run.path / "sub").glob("*/done.json"))
    if not names:
        raise ArtifactError(f"{run.path} holds no trained SubTransformer yet; run hat-train-sub")
    return names


def _finite_weights(trained):
    """`load_weights`; raises ArtifactError if training left values that are not numbers."""
    architecture, spec, weights = load_weights(trained)
    broken = [name for name, weight in weights.items() if not np.isfinite(weight).all()]
    if broken:
        path = trained / "model.safetensors"
        raise ArtifactError(f"{path} holds infinities or NaN in {broken[0]}; train it again at a lower rate")
    return architecture, spec, weights


def _inputs(run, name):
    """Everything that the bundles of `name` are made from."""
    trained = run.sub(name)
    return {
        "format": VERSION,
        "weights_sha256": files.sha256_of_file(trained / "model.safetensors"),
        "description_sha256": files.sha256_of_file(trained / "model.json"),
        "data": stamp(run.data),
        **run.sections("evaluation"),
    }


def _is_current(bundle, inputs):
    try:
        return open_bundle(bundle).description["built_from"].get("inputs") == files.fingerprint(inputs)
    except ArtifactError:
        return False


def _write(run, name, precision, model, prepared, inputs, bundle):
    architecture, spec, weights = model
    description = {
        "precision": precision,
        "architecture": architecture.to_dict(),
        "spec": to_mapping(spec),
        "source_lang": prepared.source_lang,
        "target_lang": prepared.target_lang,
        # </s> included; the model was never trained on longer ones
        "max_source_tokens": min(run.config.data.max_length + 1, MAX_POSITIONS),
        "search": to_mapping(run.config.evaluation),
        "built_from": {
            "experiment": run.config.name,
            "model": name,
            "weights_sha256": inputs["weights_sha256"],
            "inputs": files.fingerprint(inputs),
            "hat_version": __version__,
        },
    }
    languages = {"source": prepared.source_lang, "target": prepared.target_lang}
    tokenizers = {side: prepared.sentencepiece(lang) for side, lang in languages.items()}
    write_bundle(bundle, build_graphs(architecture, spec, weights, precision), tokenizers, description)


def _check(run, name, precisions, prepared, building):
    """Compare the built bundles with PyTorch; {precision: what export.json says of it}."""
    from hat.checkpoint import load_model

    reference = Reference(load_model(run.sub(name)), prepared, run.config.evaluation)
    results = {}
    for precision in precisions:
        bundle = building / precision
        check = reference.check_exact(bundle) if precision == "fp32" else reference.compare(bundle)
        size_bytes = open_bundle(bundle).size_bytes
        print(f"{name} {precision}: {size_bytes / 1e6:.1f} MB, {reference.describe(check)}")
        results[precision] = {"size_bytes": size_bytes, "check": check}
    return results


def _install(directory, building, results):
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
