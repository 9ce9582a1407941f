"""hat-evaluate on a model that really learnt a few phrases, as model, bundle and with inherited weights."""

import itertools
import json
import math
import shutil
import time

import pytest
import sacrebleu
import torch
from evaluations import REFERENCES, SOURCES, Meter, refused
from tiny import TINY_SPACE

from hat import files
from hat.architecture.complexity import parameter_shapes
from hat.cli.evaluate import main
from hat.deploy.batching import usable_cores
from hat.deploy.translator import Translator
from hat.evaluation.evaluate import evaluate, evaluate_together, evaluations_table
from hat.evaluation.targets import find_target
from hat.evaluation.translation.scores import score_translations
from hat.experiment.run_directory import FULL
from hat.models.checkpoint import load_model, save_model
from hat.models.translation import Transformer
from hat.models.translation_spec import ModelSpec
from latency_predictor.sampling.bundle_meter import BundleMeter
from latency_predictor.sampling.real_calls import Calls, RealCalls

pytestmark = pytest.mark.alone


def test_model_bundle_and_inherited_weights_translate_alike(run):
    architecture_file = run.search("found") / "architecture.yaml"
    bundle = run.export("small") / "fp32"
    rows = [evaluate(run, target, Meter(run), latency=False) for target in ("small", bundle, architecture_file)]
    assert [row["kind"] for row in rows] == ["model", "bundle", "inherited"]
    assert [row["bleu"] for row in rows] == [rows[0]["bleu"]] * 3
    assert rows[0]["bleu"] > 60  # of phrases that it was trained on
    assert rows[0]["sentences"] == len(SOURCES)


def test_a_model_translates_on_a_gpu_if_there_is_one_and_is_exported_from_the_processor(run, monkeypatch):
    """A GPU that is named but not there: models are sent to it in word only, tensors where the model says it is."""
    moves, elsewhere = [], torch.nn.Module.to
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.nn.Module, "to", lambda module, device: moves.append(device) or module)
    monkeypatch.setattr(torch.nn.Module, "cpu", lambda module: moves.append("cpu") or elsewhere(module, "cpu"))
    target = find_target(run, "small")
    on_gpu = target.answer(SOURCES)
    assert moves == ["cuda"]
    target.bundle(run.path / "made")
    assert moves[1] == "cpu"
    monkeypatch.undo()
    assert target.answer(SOURCES) == on_gpu


def test_bundles_translate_on_all_cores_as_on_one(run, monkeypatch):
    found, start = [], Translator.__init__

    def recording(translator, *arguments, **options):
        found.append((options.get("workers"), options.get("threads", 1)))
        start(translator, *arguments, **options)

    bundle = run.export("small") / "fp32"
    monkeypatch.setattr(Translator, "__init__", recording)
    translations = find_target(run, bundle).answer(SOURCES)
    assert found == [(usable_cores(), 1)]
    assert translations == Translator(bundle).translate(SOURCES)


def test_counts_are_those_of_the_files(run):
    model, spec = load_model(run.sub("small")), load_model(run.sub("small")).spec
    weights = sum(weight.numel() for weight in model.parameters())
    embeddings = math.prod(parameter_shapes(model.architecture, spec)["encoder.embed_tokens.weight"])
    row = evaluate(run, "small", Meter(run), latency=False)
    assert row["parameters"] == weights
    assert row["parameters_without_embeddings"] == weights - embeddings
    assert row["size_bytes"] == (run.sub("small") / "model.safetensors").stat().st_size
    folder = run.export("small") / "int8"
    bundle = evaluate(run, folder, Meter(run), latency=False)
    assert bundle["parameters"] == weights
    assert bundle["precision"] == "int8"
    assert bundle["size_bytes"] == sum(file.stat().st_size for file in folder.iterdir())


def test_scores_are_sacrebleus_cased_and_detokenised():
    references = [*REFERENCES, "The price is 3.50 euros, I think."]
    translations = [*REFERENCES[:-1], "An old man sang .", "the price is 3,50 euros I think"]
    scores = score_translations(translations, references, "en")
    assert scores["bleu"] == pytest.approx(sacrebleu.corpus_bleu(translations, [references]).score)
    assert scores["chrf"] == pytest.approx(sacrebleu.corpus_chrf(translations, [references]).score)
    assert "case:mixed" in scores["bleu_signature"]
    assert "tok:13a" in scores["bleu_signature"]
    assert "version:" in scores["chrf_signature"]
    assert score_translations(references, references, "en")["bleu"] == pytest.approx(100)


def test_is_kept_beside_its_bundle_and_used_while_true(run, measured):
    bundle, kept = run.export("small") / "int8", run.export("small") / "evaluation.int8.json"
    row = evaluate(run, bundle, Meter(run))
    assert (row["latency_ms"], row["latency_p90_ms"], row["device"]) == (12.5, 20.0, "cpu")
    assert measured == [(bundle, "int8")]
    saved = json.loads(kept.read_text())
    assert {key: saved[key] for key in row} == row
    assert evaluate(run, bundle, Meter(run)) == row
    assert len(measured) == 1
    evaluate(run, bundle, Meter(run), again=True)
    assert len(measured) == 2
    evaluate(run, bundle, Meter(run), split="valid", latency=False)
    assert json.loads(kept.read_text()) == saved


def test_a_device_of_more_threads_than_this_machine_has_cores(run, measured, tmp_path):
    (tmp_path / "large.yaml").write_text("backend: onnxruntime\nthreads: 4096\n")
    for target in ("small", run.export("small") / "fp32"):
        assert evaluate(run, target, Meter(run, str(tmp_path / "large.yaml")))["device"] == "large"
    assert [precision for _, precision in measured] == ["fp32", "fp32"]


def test_a_retrained_model_is_judged_anew(run, measured, tmp_path):
    folder = run.path / "retrained"
    save_model(folder, load_model(run.sub("small")))
    before = evaluate(run, folder, Meter(run))
    model = load_model(folder)
    torch.nn.init.normal_(model.encoder.embed_tokens.weight, generator=torch.Generator().manual_seed(3))
    save_model(folder, model)
    assert evaluate(run, folder, Meter(run))["bleu"] < before["bleu"]
    assert len(measured) == 2


def test_nothing_is_written_outside_the_run(run, measured, tmp_path):
    save_model(tmp_path / "mine", load_model(run.sub("small")))
    evaluate(run, tmp_path / "mine", Meter(run))
    assert sorted(path.name for path in tmp_path.rglob("*") if path.is_file()) == ["model.json", "model.safetensors"]


def test_command_prints_a_table_or_json(run, capsys):
    main(["small", str(run.export("small") / "fp32"), "--no-latency", "--run", str(run.path)])
    table = capsys.readouterr().out
    assert "BLEU" in table
    assert "small" in table
    main(["small", "--no-latency", "--json", "--run", str(run.path)])
    row = json.loads(capsys.readouterr().out)
    assert row["target"] == "small"
    assert row["latency_ms"] is None


@pytest.mark.parametrize(
    ("device", "precision", "reason"),
    [
        ("{backend: torch, accelerator: cuda}", "fp32", "own runs PyTorch, not bundles"),
        ("{backend: onnxruntime, accelerator: cuda}", "int8", "int8 bundles are made for processors, not for own"),
    ],
)
def test_a_device_that_does_not_run_the_bundle_has_no_latency_but_a_reason(
    run, tmp_path, capsys, device, precision, reason
):
    path = tmp_path / "own.yaml"
    path.write_text(device)
    bundle = str(run.export("small") / precision)
    main([bundle, "--device", str(path), "--run", str(run.path)])
    table = capsys.readouterr().out.splitlines()
    assert f"- latency of {bundle}: {reason}" in table
    assert table[1].split()[4:6] == ["-", "-"]


def test_a_model_makes_no_bundle_for_a_device_that_runs_none(run, tmp_path, monkeypatch):
    path = tmp_path / "own.yaml"
    path.write_text("{backend: torch, accelerator: cuda}")
    monkeypatch.setattr("hat.export.translation.trial_bundle.write_trial_bundle", None)
    row = evaluate(run, "small", BundleMeter(run, str(path)), again=True)
    assert (row["latency_ms"], row["no_latency"][:17]) == (None, "own runs PyTorch,")


@pytest.mark.parametrize(
    ("target", "status", "message"),
    [
        ("nothing", 4, "neither a sub-training"),
        ("found", 4, "hat-train-sub found"),
        ("export/small", 4, "neither a sub-training"),
        ("other.yaml", 2, "is not one of"),
    ],
)
def test_targets_that_cannot_be_judged(run, capsys, target, status, message):
    other = TINY_SPACE.smallest().to_dict()
    other["encoder"]["ffn_dim"] = [21]
    files.write_yaml("other.yaml", other)
    with pytest.raises(SystemExit) as end:
        main([target, "--no-latency", "--run", str(run.path)])
    error = capsys.readouterr().err
    assert end.value.code == status
    assert message in error
    assert error.count("\n") == 1


def test_a_model_of_another_vocabulary_is_refused(run, tmp_path, capsys):
    save_model(tmp_path / "foreign", Transformer(TINY_SPACE.smallest(), ModelSpec(31, 31, 24, 24)))
    status, error = refused(capsys, run, tmp_path / "foreign")
    assert status == 4
    assert "vocabularies of 31 and 31 pieces" in error


def test_a_bundle_of_another_experiment_is_refused(run, capsys):
    path = run.export("small") / "fp32" / "bundle.json"
    original = path.read_text()
    description = json.loads(original)
    description["target_lang"] = "fr"
    path.write_text(json.dumps(description))
    try:
        with pytest.raises(SystemExit) as end:
            main([str(path.parent), "--no-latency", "--run", str(run.path)])
    finally:
        path.write_text(original)
    assert end.value.code == 4
    assert "translates de to fr" in capsys.readouterr().err


def test_a_truncated_bundle_is_refused(run, tmp_path, capsys):
    bundle = run.export("small") / "fp32"
    copy = tmp_path / "fp32"
    copy.mkdir()
    for file in bundle.iterdir():
        (copy / file.name).write_bytes(file.read_bytes())
    (copy / "weights.bin").write_bytes((bundle / "weights.bin").read_bytes()[:-100])
    with pytest.raises(SystemExit) as end:
        main([str(copy), "--no-latency", "--run", str(run.path)])
    assert end.value.code == 4
    assert "weights.bin" in capsys.readouterr().err


def test_latency_is_that_of_real_calls_of_a_bundle_that_a_model_would_make(run):
    """Text in, text out, in turns: what a loop around a Translator measures, on this machine."""
    row = evaluate(run, "small", BundleMeter(run, "cpu"))
    translator, calls_ms = Translator(run.export("small") / "fp32"), []
    for sentence in SOURCES * 5:
        start = time.perf_counter()
        translator.translate([sentence])
        calls_ms.append(1e3 * (time.perf_counter() - start))
    assert min(calls_ms) / 2 < row["latency_ms"] <= row["latency_p90_ms"] < 10 * max(calls_ms)
    low_ms, high_ms = row["latency_range_ms"]
    assert low_ms <= row["latency_ms"] <= high_ms
    assert row["latency_with_text"] is True
    assert 0 <= row["latency_taken"] <= 1
    assert row["device"] == "cpu"


@pytest.fixture
def full_size(run):
    """The folder of a full-size bundle, of the largest of the space."""
    torch.manual_seed(5)
    model = load_model(run.super_).extract(TINY_SPACE.largest())
    folder = run.export(FULL) / "fp32"
    run.task.write_trial_bundle(run, model, "fp32", folder)
    yield folder
    shutil.rmtree(run.export(FULL))


def test_bundles_take_turns_with_the_full_size_one(run, full_size, monkeypatch):
    """Its Latency is kept beside theirs, and is as old: the machine goes ever slower here."""
    small, calls, pace = run.export("small") / "fp32", [], itertools.count(1)

    def time_slower(_calls, bundles):
        calls.append(list(bundles))
        slow = next(pace)
        return [Calls((slow * (9.0 if bundle == full_size else 3.0),) * 100, 0.0, True) for bundle in bundles]

    monkeypatch.setattr(RealCalls, "time", time_slower)
    (alone,) = evaluate_together(run, [small], BundleMeter(run, "cpu"), again=True)
    first, second = evaluate_together(run, [full_size, small], BundleMeter(run, "cpu"), again=True)
    assert all({small, full_size} == set(bundles) for bundles in calls)
    assert (alone["latency_ms"], alone["full_latency_ms"]) == (9.0, 27.0)
    assert (first["latency_ms"], first["full_latency_ms"]) == (72.0, 72.0)
    assert (second["latency_ms"], second["full_latency_ms"]) == (24.0, 72.0)
    assert second["full_latency_range_ms"] == [54.0, 90.0]


def test_another_full_size_bundle_makes_an_evaluation_stale(run, full_size, measured):
    small = run.export("small") / "fp32"
    evaluate(run, small, Meter(run), again=True)
    evaluate(run, small, Meter(run))
    assert len(measured) == 1
    evaluate(run, run.export("small") / "int8", Meter(run), again=True)
    description = full_size / "bundle.json"
    description.write_text(description.read_text() + "\n")
    evaluate(run, small, Meter(run))
    evaluate(run, run.export("small") / "int8", Meter(run))  # there is no full-size one of its precision
    assert [precision for _, precision in measured] == ["fp32", "int8", "fp32"]


def test_what_is_shown_together_is_timed_together(run, full_size, measured):
    """One that isn't true any more, or isn't there yet, has the others timed again as well."""
    bundles = [full_size, run.export("small") / "fp32"]
    evaluate(run, bundles[1], Meter(run), again=True)
    measured.clear()
    rows = evaluate_together(run, bundles, Meter(run))
    assert [bundle for bundle, _ in measured] == bundles
    assert evaluate_together(run, bundles, Meter(run)) == rows
    assert len(measured) == 2


def test_what_was_timed_apart_is_timed_again_together(run, full_size):
    """As an interruption leaves it, or hat-evaluate of one of them."""
    bundles, meter = [full_size, run.export("small") / "fp32"], BundleMeter(run, "cpu")
    for bundle in bundles:
        evaluate(run, bundle, meter, again=True)
    rows = evaluate_together(run, bundles, meter)
    assert rows[0]["latency_ms"] == rows[1]["full_latency_ms"]
    assert evaluate_together(run, bundles, meter) == rows
    assert evaluate(run, bundles[1], meter) == rows[1]


def test_without_a_full_size_bundle_there_is_no_latency_of_one(run):
    row = evaluate(run, "small", BundleMeter(run, "cpu"), again=True)
    assert row["latency_ms"] > 0
    assert row["full_latency_ms"] is row["full_latency_range_ms"] is row["full_latency_p90_ms"] is None


def test_a_latency_taken_beside_other_work_says_so(run):
    row = evaluate(run, "small", BundleMeter(run, "cpu")) | {"latency_taken": 0.4, "latency_busy": True}
    told = [line for line in evaluations_table(run.task.judge(run), [row]) if line.startswith("- latency")]
    assert told == [
        "- latency of small: other work had the processor 40% of the time while it was taken; end that work and "
        "evaluate again"
    ]
    quiet = row | {"latency_taken": 0.01, "latency_busy": False}
    assert not any(line.startswith("-") for line in evaluations_table(run.task.judge(run), [quiet]))
