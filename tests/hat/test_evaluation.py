"""hat-evaluate on a model that really learnt a few phrases, as model, bundle and with inherited weights."""

import itertools
import json
import math
import types

import pytest
import sacrebleu
import torch
import yaml
from search_toys import timing
from tiny import TINY_SPACE

from hat import files
from hat.checkpoint import load_model, save_model
from hat.cli.evaluate import main
from hat.complexity import parameter_shapes
from hat.data.prepare import prepare
from hat.data.prepared import PreparedData
from hat.evaluation import evaluate, score_translations
from hat.export import export
from hat.fairseq_plugin.datasets import load_batches
from hat.model import SuperTransformer
from hat.run_directory import RunDirectory, mark_done
from latency_predictor.lengths import run_lengths

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
        mark_done(run.super_, "test")
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


@pytest.fixture
def measurer(monkeypatch):
    """A device where the median sentence takes 12.5 ms, one of ten 20; its list of (device, architecture) measured."""
    calls = []

    class FakeMeasurer:
        def __init__(self, run, device, spec):
            self._run, self._device, self._spec = run, device, spec
            self.lengths = run_lengths(run)

        def __enter__(self):
            return self

        def __exit__(self, *_):
            self._device = None

        def measure_paced(self, architecture):
            assert self._spec.source_vocabulary == PreparedData(self._run.data).source_vocabulary
            calls.append((self._device, architecture))
            return types.SimpleNamespace(timing=self._timing)

        def _timing(self, lengths, quantile):
            assert lengths is self.lengths
            return timing({0.5: 12.5, 0.9: 20.0}[quantile])

    monkeypatch.setattr("latency_predictor.measure.Measurer", FakeMeasurer)
    return calls


def test_model_bundle_and_inherited_weights_translate_alike(run):
    architecture_file = run.search("found") / "architecture.yaml"
    bundle = run.export("small") / "fp32"
    rows = [evaluate(run, target, latency=False) for target in ("small", bundle, architecture_file)]
    assert [row["kind"] for row in rows] == ["model", "bundle", "inherited"]
    assert [row["bleu"] for row in rows] == [rows[0]["bleu"]] * 3
    assert rows[0]["bleu"] > 60  # of phrases that it was trained on
    assert rows[0]["sentences"] == len(SOURCES)


def test_counts_are_those_of_the_files(run):
    model, spec = load_model(run.sub("small")), load_model(run.sub("small")).spec
    weights = sum(weight.numel() for weight in model.parameters())
    embeddings = math.prod(parameter_shapes(model.architecture, spec)["encoder.embed_tokens.weight"])
    row = evaluate(run, "small", latency=False)
    assert row["parameters"] == weights
    assert row["parameters_without_embeddings"] == weights - embeddings
    assert row["size_bytes"] == (run.sub("small") / "model.safetensors").stat().st_size
    folder = run.export("small") / "int8"
    bundle = evaluate(run, folder, latency=False)
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


def test_is_kept_beside_its_bundle_and_used_while_true(run, measurer):
    bundle, kept = run.export("small") / "int8", run.export("small") / "evaluation.int8.json"
    row = evaluate(run, bundle, device="cpu")
    assert (row["latency_ms"], row["latency_p90_ms"], row["device"]) == (12.5, 20.0, "cpu")
    assert measurer[0][0].precision == "int8"
    assert measurer[0][1] == TINY_SPACE.smallest()
    saved = json.loads(kept.read_text())
    assert {key: saved[key] for key in row} == row
    assert evaluate(run, bundle, device="cpu") == row
    assert len(measurer) == 1
    evaluate(run, bundle, device="cpu", again=True)
    assert len(measurer) == 2
    evaluate(run, bundle, split="valid", latency=False)
    assert json.loads(kept.read_text()) == saved


def test_a_retrained_model_is_judged_anew(run, measurer, tmp_path):
    folder = run.path / "retrained"
    save_model(folder, load_model(run.sub("small")))
    before = evaluate(run, folder)
    model = load_model(folder)
    torch.nn.init.normal_(model.encoder.embed_tokens.weight, generator=torch.Generator().manual_seed(3))
    save_model(folder, model)
    assert evaluate(run, folder)["bleu"] < before["bleu"]
    assert len(measurer) == 2


def test_nothing_is_written_outside_the_run(run, measurer, tmp_path):
    save_model(tmp_path / "mine", load_model(run.sub("small")))
    evaluate(run, tmp_path / "mine")
    assert sorted(path.name for path in tmp_path.rglob("*") if path.is_file()) == ["model.json", "model.safetensors"]
    evaluate(run, tmp_path / "mine", output=tmp_path / "mine.json")
    assert json.loads((tmp_path / "mine.json").read_text())["kind"] == "model"


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
