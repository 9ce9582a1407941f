"""The export stage: a trained SubTransformer becomes bundles that translate as it does."""

import shutil
from dataclasses import dataclass

import numpy as np

from hat import __version__, files
from hat.config import to_mapping
from hat.data.translation.pairs import sample_pairs
from hat.data.translation.prepared import PreparedData
from hat.deploy.building.bundle_writer import write_bundle
from hat.deploy.building.graphs import PRECISIONS, build_graphs
from hat.deploy.building.positions import MAX_POSITIONS
from hat.deploy.building.standalone import add_runtime
from hat.deploy.bundle import VERSION, open_bundle
from hat.deploy.shortlist import Shortlist
from hat.errors import ArtifactError, UsageError
from hat.experiment.run_directory import mark_done, stamp
from hat.export.check import Reference, one_torch_thread
from hat.export.quality import ALLOWED_DROP, describe, measure_quality, refusal, with_drops
from hat.models.checkpoint import load_weights

DEFAULT_PRECISIONS = ("fp32", "int8")
SHORTLIST_PAIRS = 200_000  # of the training set, at most
CALIBRATION_PAIRS = 200  # of these
COVERAGE_PAIRS = 2000  # of the validation set, at most


def export(run, name, precisions=DEFAULT_PRECISIONS, standalone=False, allowed_drop=ALLOWED_DROP):
    """Leave a checked bundle of the sub-training `name` in run.export(name)/PRECISION for each precision.

    An fp32 bundle must translate a sample of the validation set as PyTorch does, else ArtifactError is raised and what
    was there before stays. Another one must not lose more than `allowed_drop` BLEU against fp32 on the validation set,
    else the same happens to it, but the others are left nevertheless. Bundles that are up to date are left alone.
    Sizes and results of the checks go to export.json. With `standalone` each bundle has the one-file runtime in it.
    """
    for precision in precisions:
        if precision not in PRECISIONS:
            raise UsageError(f"precision {precision!r} is not one of {', '.join(PRECISIONS)}")
    directory, weights, prepared = run.export(name), _finite_weights(run.sub(name)), PreparedData(run.data)
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
        content = _gather(run, name, weights, prepared, inputs)
        results = _build(content, outdated, building, standalone)
        refusals = _refusals(results, allowed_drop)
        accepted = {precision: result for precision, result in results.items() if precision not in refusals}
        _install(directory, building, accepted)
    finally:
        shutil.rmtree(building, ignore_errors=True)
    if refusals:
        raise ArtifactError("; ".join(refusals.values()))
    described = [f"{precision}/bundle.json" for precision in PRECISIONS if (directory / precision).exists()]
    mark_done(directory, inputs, described)  # each holds the digests of all its bundle's files
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


@dataclass(frozen=True)
class _Content:
    """What the bundles of the sub-training `name` are made of, and what they are judged with."""

    name: str
    weights: tuple  # Architecture, ModelSpec, arrays
    ranges: dict
    shortlist: Shortlist
    coverage: dict  # how much of the validation set the shortlist covers
    prepared: PreparedData
    description: dict
    reference: Reference
    seed: int  # draws the sentences that judge quality


def _gather(run, name, weights, prepared, inputs):
    """The _Content of the bundles: calibration and shortlist are learnt here."""
    from hat.data.translation.lexicon import coverage, learn_shortlist
    from hat.export.calibration import calibrate
    from hat.models.checkpoint import load_model

    model = load_model(run.sub(name))
    pairs = training_pairs(run, prepared)
    with one_torch_thread():
        ranges = calibrate(model, pairs[:CALIBRATION_PAIRS])
    shortlist = learn_shortlist(prepared, pairs)
    return _Content(
        name,
        weights,
        ranges,
        shortlist,
        coverage(shortlist, sample_pairs(prepared, "valid", COVERAGE_PAIRS, run.config.seed)),
        prepared,
        describe_bundle(run, name, *weights[:2], prepared, inputs),
        Reference(model, prepared, run.config.evaluation, run.config.seed),
        run.config.seed,
    )


def training_pairs(run, prepared):
    """The pairs of ids that the shortlist is learnt from; the first of them calibrate int8."""
    return sample_pairs(prepared, "train", SHORTLIST_PAIRS, run.config.seed)


def _build(content, precisions, building, standalone):
    """Write bundles into the folder `building` and judge them; {precision: what export.json says of it}.

    Beside `precisions` there is always fp32, which the others are compared with.
    """
    built = ["fp32", *(precision for precision in precisions if precision != "fp32")]
    for precision in built:
        _write(content, precision, building / precision)
        if standalone:
            add_runtime(building / precision)
    judge, name = content.reference, content.name
    checks = {precision: judge.judge(building / precision, exact=precision == "fp32") for precision in built}
    quality = {precision: measure_quality(building / precision, content.prepared, content.seed) for precision in built}
    results = {}
    for precision in precisions:
        judged = with_drops(quality[precision], quality["fp32"])
        size_bytes = open_bundle(building / precision).size_bytes
        print(f"{name} {precision}: {size_bytes / 1e6:.1f} MB, {judge.describe(checks[precision])}")
        print(f"{name} {precision}: {describe(judged)}")
        results[precision] = {"size_bytes": size_bytes, "check": checks[precision], "quality": judged}
        results[precision]["shortlist"] = content.coverage
    return results


def _refusals(results, allowed_drop):
    """{precision: why its bundle must not be installed}"""
    reasons = {precision: refusal(precision, result["quality"], allowed_drop) for precision, result in results.items()}
    return {precision: reason for precision, reason in reasons.items() if reason}


def describe_bundle(run, name, architecture, spec, prepared, inputs):
    """What bundle.json says of all bundles of the sub-training `name`."""
    return {
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


def _write(content, precision, bundle):
    graphs, description = build_graphs(*content.weights, precision, content.ranges), content.description
    write_bundle(
        bundle, graphs, tokenizers(content.prepared), {"precision": precision, **description}, content.shortlist
    )


def tokenizers(prepared):
    """{"source", "target": path of the SentencePiece model} of prepared data."""
    languages = {"source": prepared.source_lang, "target": prepared.target_lang}
    return {side: prepared.sentencepiece(lang) for side, lang in languages.items()}


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
