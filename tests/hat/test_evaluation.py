"""hat-evaluate on a model that really learnt a few phrases, as model, bundle and with inherited weights."""

import gzip
import hashlib
import itertools
import json
import math
import subprocess
import sys
import time

import pytest
import sacrebleu
import torch
import yaml
from tiny import TINY_SPACE

from hat import files
from hat.checkpoint import load_model, save_model
from hat.cli.evaluate import main
from hat.complexity import ModelSpec, parameter_shapes
from hat.data.prepare import prepare
from hat.data.prepared import PreparedData
from hat.deploy.batching import usable_cores
from hat.deploy.bundle import open_bundle
from hat.deploy.translator import Translator
from hat.evaluation.evaluate import evaluate, score_translations
from hat.evaluation.significance import paired_bootstrap
from hat.evaluation.targets import find_target
from hat.export.bundles import export
from hat.fairseq_plugin.datasets import load_batches
from hat.model import SuperTransformer, Transformer
from hat.run_directory import RunDirectory, mark_done
from latency_predictor.sampling.bundle_meter import BundleMeter

WORDS = {"ein": "a", "roter": "red", "alter": "old", "Hund": "dog", "Mann": "man", "rennt": "runs", "singt": "sings"}
SOURCES = [
    f"Ein {adjective} {noun} {verb}."
    for adjective, noun, verb in itertools.product(("roter", "alter"), ("Hund", "Mann"), ("rennt", "singt"))
]
REFERENCES = [
    " ".join(WORDS[word.lower() if word == "Ein" else word] for word in source[:-1].split()).capitalize() + "."
    for source in SOURCES
]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run with data, a SuperTransformer, sub/small (its smallest, trained) and export/small/fp32 and int8."""
    folder = tmp_path_factory.mktemp("evaluation")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        torch.manual_seed(1)
        run = _prepared_run(folder)
        model = _trained(run)
        save_model(run.super_, model)
        mark_done(run.super_, "test", [])
        save_model(run.sub("small"), model.extract(TINY_SPACE.smallest()))
        files.write_yaml(run.search("found") / "architecture.yaml", TINY_SPACE.smallest().to_dict())
        export(run, "small")
        yield run


def _prepared_run(folder):
    for lang, lines in (("de", SOURCES), ("en", REFERENCES)):
        (folder / f"text.{lang}").write_text("\n".join(lines) + "\n")
    text = [str(folder / "text.de"), str(folder / "text.en")]
    training = {"max_update": 1, "warmup_updates": 1, "lr": 0.1}
    config = {
        "data": {
            "corpus": "files",
            "source_lang": "de",
            "target_lang": "en",
            "train": text,
            "valid": text,
            "test": text,
            "vocabulary_size": 30,
        },
        "model": {"dropout": 0.0},
        "search_space": TINY_SPACE.to_dict(),
        "super_training": training,
        "sub_training": training,
    }
    (folder / "toy.yaml").write_text(yaml.safe_dump(config))
    run = RunDirectory.create(folder / "toy.yaml")
    prepare(run)
    return run


def _trained(run):
    prepared = PreparedData(run.data)
    spec = run.config.model_spec(prepared.source_vocabulary, prepared.target_vocabulary)
    model = SuperTransformer(TINY_SPACE, spec)
    model.activate(TINY_SPACE.smallest())
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    (batch,) = load_batches(prepared, "train", max_tokens=4000)
    for _ in range(150):
        logits = model(batch.src_tokens, batch.prev_output_tokens)
        loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), batch.target.flatten(), ignore_index=1)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return model.eval()


class Meter(BundleMeter):
    """A device where the median sentence takes 12.5 ms, one of ten 20; `measured` is what was asked of any."""

    measured = []

    def measure(self, bundle, precision):
        assert open_bundle(bundle).description["precision"] == precision
        self.measured.append((bundle, precision))
        return {"latency_ms": 12.5, "latency_p90_ms": 20.0, "device": self._device.name}


@pytest.fixture
def measured(monkeypatch):
    """The list of (bundle, precision) that a Meter measures, for commands too."""
    monkeypatch.setattr("latency_predictor.sampling.bundle_meter.BundleMeter", Meter)
    monkeypatch.setattr(Meter, "measured", [])
    return Meter.measured


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
    target, prepared = find_target(run, "small"), PreparedData(run.data)
    on_gpu = target.translate(prepared, SOURCES)
    assert moves == ["cuda"]
    target.bundle(run.path / "made")
    assert moves[1] == "cpu"
    monkeypatch.undo()
    assert target.translate(prepared, SOURCES) == on_gpu


def test_bundles_translate_on_all_cores_as_on_one(run, monkeypatch):
    found, start = [], Translator.__init__

    def recording(translator, *arguments, **options):
        found.append((options.get("workers"), options.get("threads", 1)))
        start(translator, *arguments, **options)

    bundle = run.export("small") / "fp32"
    monkeypatch.setattr(Translator, "__init__", recording)
    translations = find_target(run, bundle).translate(PreparedData(run.data), SOURCES)
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


@pytest.fixture
def other_text(tmp_path):
    """(SRC, REF): half of the phrases in another order, gzipped, and references that no model gives."""
    source, reference = tmp_path / "other.de.gz", tmp_path / "other.en"
    source.write_bytes(gzip.compress("".join(f"  {line}\r\n" for line in SOURCES[::-2]).encode()))
    reference.write_text("".join(f"{line} Indeed!\n" for line in REFERENCES[::-2]))
    return source, reference


def evaluated(capsys, run, *arguments):
    """The rows of `hat-evaluate ARGUMENTS --json` without latencies."""
    main([*map(str, arguments), "--no-latency", "--json", "--run", str(run.path)])
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def refused(capsys, run, *arguments):
    """(exit status, message) of a command that fails."""
    with pytest.raises(SystemExit) as end:
        main([*map(str, arguments), "--no-latency", "--run", str(run.path)])
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    return end.value.code, error


def test_any_parallel_files_are_translated_alike_by_model_and_bundle(run, other_text, capsys):
    bundle = run.export("small") / "fp32"
    rows = evaluated(capsys, run, "small", bundle, "--test-set", *other_text)
    translations = Translator(bundle).translate(SOURCES[::-2])
    references = [f"{line} Indeed!" for line in REFERENCES[::-2]]
    expected = sacrebleu.corpus_bleu(translations, [references]).score
    assert [row["bleu"] for row in rows] == pytest.approx([expected, expected])
    assert [row["sentences"] for row in rows] == [4, 4]
    digests = [hashlib.sha256(path.read_bytes()).hexdigest() for path in other_text]
    source, reference = map(str, other_text)
    names = {"source": source, "source_sha256": digests[0], "reference": reference, "reference_sha256": digests[1]}
    assert [row["test_set"] for row in rows] == [names, names]


def test_several_test_sets_and_none_is_kept_as_the_test_split(run, other_text, measured, capsys):
    bundle = run.export("small") / "int8"
    evaluate(run, bundle, Meter(run))
    kept = (run.export("small") / "evaluation.int8.json").read_bytes()
    measured.clear()
    sets = ["--test-set", *map(str, other_text), "--test-set", "text.de", "text.en"]
    main([str(bundle), *sets, "--json", "--run", str(run.path)])
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [row["sentences"] for row in rows] == [4, 8]
    assert rows[1]["bleu"] == evaluate(run, bundle, Meter(run), latency=False)["bleu"]
    assert len(measured) == 1  # once for all test sets
    assert (run.export("small") / "evaluation.int8.json").read_bytes() == kept
    main([str(bundle), *sets, "--no-latency", "--run", str(run.path)])
    assert str(other_text[0]) in capsys.readouterr().out


def test_blank_lines_stay_empty_and_are_told(run, other_text, capsys):
    source, reference = other_text
    source.write_text(f"{SOURCES[0]}\n   \n{SOURCES[1]}\n")
    reference.write_text(f"{REFERENCES[0]}\nNothing.\n{REFERENCES[1]}\n")
    main(["small", str(run.export("small") / "fp32"), "--test-set", *map(str, other_text), "--no-latency", "--json"])
    printed = capsys.readouterr()
    rows = [json.loads(line) for line in printed.out.splitlines()]
    assert rows[0]["bleu"] == rows[1]["bleu"]
    assert rows[0]["sentences"] == 3
    assert "1 of 3 pairs" in printed.err


@pytest.mark.parametrize(
    ("source", "reference", "message"),
    [
        (b"a\nb\n", b"a\n", "has 2 lines"),
        (b"", b"a\n", "source is empty"),
        (b"a\n", b"\xff\n", "reference, line 1, byte 1: not UTF-8"),
        (b"a\n\n", b" \nb\n", "no line with text on both sides"),
        (None, b"a\n", "no such file"),
        (gzip.compress(b"a\n" * 1000)[:-9], b"a\n" * 1000, "damaged gzip"),
    ],
)
def test_files_that_cannot_be_judged(run, tmp_path, capsys, source, reference, message):
    for name, content in (("source", source), ("reference", reference)):
        if content is not None:
            (tmp_path / name).write_bytes(content)
    status, error = refused(capsys, run, "small", "--test-set", tmp_path / "source", tmp_path / "reference")
    assert status == 3
    assert message in error


def test_a_split_and_files_exclude_each_other(run, other_text, capsys):
    status, error = refused(capsys, run, "small", "--split", "valid", "--test-set", *other_text)
    assert status == 2
    assert "not allowed with" in error


def test_paired_bootstrap_is_that_of_the_sacrebleu_command(tmp_path):
    references = [f"{line[:-1]} and {other[:1].lower()}{other[1:]}" for line in REFERENCES for other in REFERENCES]
    translations = [line.replace("red", "blue") if number % 3 else line for number, line in enumerate(references)]
    baseline = [line.replace("dog", "cat") if number % 2 else line[:-9] for number, line in enumerate(references)]
    for name, lines in (("ref", references), ("base", baseline), ("sys", translations)):
        (tmp_path / name).write_text("\n".join(lines) + "\n")
    command = [sys.executable, "-m", "sacrebleu", "ref", "-i", "base", "sys", "--paired-bs", "-m", "bleu", "-f", "json"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    expected = {row["system"]: row["BLEU"] for row in json.loads(done.stdout)}
    found = paired_bootstrap(translations, baseline, references, "en")
    for prefix, name in (("", "sys"), ("baseline_", "Baseline: base")):
        for key, theirs in (("bleu", "score"), ("bleu_mean", "mean"), ("bleu_ci95", "ci")):
            assert found[f"{prefix}{key}"] == pytest.approx(expected[name][theirs], abs=1e-3)
    assert found["p_value"] == pytest.approx(expected["sys"]["p_value"], abs=1e-4)
    assert "bs:1000" in found["signature"]
    assert paired_bootstrap(baseline, baseline, references, "en")["p_value"] == 1.0


def test_compared_with_another_on_the_same_text(run, other_text, capsys):
    model = load_model(run.sub("small"))
    torch.nn.init.normal_(model.encoder.embed_tokens.weight, generator=torch.Generator().manual_seed(3))
    save_model(run.path / "worse", model)
    worse, bundle = run.path / "worse", run.export("small") / "fp32"
    baseline, row, same = evaluated(capsys, run, worse, bundle, "--against", "small", "--test-set", *other_text)
    assert "against" not in baseline
    assert (baseline["target"], row["against"]["target"]) == ("small", "small")
    assert row["against"]["bleu"] == pytest.approx(row["bleu"])
    assert row["against"]["baseline_bleu"] == pytest.approx(baseline["bleu"])
    assert 0 < row["against"]["p_value"] < 1
    assert same["against"]["p_value"] == 1  # the bundle translates as its model does
    main([str(worse), "--against", "small", "--no-latency", "--split", "valid", "--run", str(run.path)])
    printed = capsys.readouterr().out
    assert f"{worse} against small on valid: BLEU" in printed
    assert "paired bootstrap" in printed


def test_a_target_against_itself_is_refused(run, capsys):
    for against in ("small", run.sub("small")):
        status, error = refused(capsys, run, "small", "--against", against)
        assert status == 2
        assert "that is small itself" in error


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
