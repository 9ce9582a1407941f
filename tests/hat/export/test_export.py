"""hat-export: exact against PyTorch or refused, nothing lost, up to date or built again."""

import json
import shutil
import subprocess
import sys

import pytest
import torch
from deployed import SENTENCES
from exports import NAME, save_random_model

import hat.export.translation.bundle_maker as export_module
from hat.cli.export import main
from hat.data.translation.prepared import PreparedData
from hat.deploy.building import graphs
from hat.deploy.bundle import open_bundle
from hat.deploy.text import load_sentencepiece
from hat.deploy.translator import Translator
from hat.errors import ArtifactError, UsageError
from hat.evaluation.translation.scores import score_translations
from hat.export.bundles import export
from hat.export.translation import check as export_check
from hat.export.translation import quality as export_quality
from hat.export.translation.check import Reference
from hat.fairseq_plugin.generation import translate_ids
from hat.models.checkpoint import save_model


def tree(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_bundles_translate_as_pytorch_does(run, capsys):
    export(run, NAME)
    assert "fp32: " in capsys.readouterr().out
    results = json.loads((run.export(NAME) / "export.json").read_text())["bundles"]
    check = results["fp32"]["check"]
    assert (check["sentences"], check["identical"]) == (len(SENTENCES), len(SENTENCES))
    assert check["largest_logit_difference"] < 1e-4
    assert results["int8"]["check"]["largest_logit_difference"] > 1e-4
    weights = {precision: run.export(NAME) / precision / "weights.bin" for precision in results}
    assert weights["int8"].stat().st_size < 0.6 * weights["fp32"].stat().st_size
    assert results["fp32"]["size_bytes"] == open_bundle(run.export(NAME) / "fp32").size_bytes
    assert not list(run.export(NAME).parent.glob(".*"))

    prepared = PreparedData(run.data)
    model = save_random_model(run, seed=4)
    translator = Translator(run.export(NAME) / "fp32")
    encode = load_sentencepiece(translator.bundle.tokenizer("source")).encode
    sources = [[*ids, 2] for ids in encode(SENTENCES)]
    expected = [translate_ids(model, prepared, [source], beam=3)[0] for source in sources]
    assert len({tuple(ids) for ids, _ in expected}) > 2
    decode = load_sentencepiece(translator.bundle.tokenizer("target")).decode
    assert translator.translate(SENTENCES) == decode([ids for ids, _ in expected])


def test_up_to_date_bundles_are_left_alone_and_stale_ones_replaced(run, capsys):
    export(run, NAME, ["fp32"])
    before = tree(run.export(NAME))
    export(run, NAME, ["fp32"])
    assert "up to date" in capsys.readouterr().out
    assert tree(run.export(NAME)) == before

    export(run, NAME, ["int8"])  # adds one, and leaves the other
    results = json.loads((run.export(NAME) / "export.json").read_text())["bundles"]
    assert sorted(results) == ["fp32", "int8"]
    assert tree(run.export(NAME) / "fp32") == tree_of(before, "fp32")

    (run.export(NAME) / "evaluation.fp32.json").write_text("{}")
    save_random_model(run, seed=7)
    export(run, NAME, ["fp32"])
    assert tree(run.export(NAME) / "fp32") != tree_of(before, "fp32")
    assert not (run.export(NAME) / "evaluation.fp32.json").exists()  # it judged the old one


def tree_of(files, folder):
    return {path.relative_to(folder): content for path, content in files.items() if path.parts[0] == folder}


def test_a_damaged_bundle_is_built_again(run):
    export(run, NAME, ["fp32"])
    weights = run.export(NAME) / "fp32" / "weights.bin"
    weights.write_bytes(weights.read_bytes()[:-5])
    export(run, NAME, ["fp32"])
    open_bundle(run.export(NAME) / "fp32")


def wrong_graphs(monkeypatch):
    """Shift all positions of the graphs by one."""
    table = graphs.position_table
    monkeypatch.setattr(
        graphs, "position_table", lambda graph, full, dim, padding: table(graph, full, dim, padding + 1)
    )


def test_wrong_graphs_are_refused_and_nothing_is_lost(run, monkeypatch, capsys):
    export(run, NAME, ["fp32"])
    before = tree(run.export(NAME))
    save_random_model(run, seed=7)
    wrong_graphs(monkeypatch)
    with pytest.raises(SystemExit) as caught:
        main([NAME, "--run", str(run.path), "--precision", "fp32"])
    assert caught.value.code == 4
    message = capsys.readouterr().err
    assert "differ from PyTorch by" in message
    assert message.count("\n") == 1
    assert tree(run.export(NAME)) == before
    assert not list(run.export(NAME).parent.glob(".*"))


def test_other_translations_are_refused_even_where_log_probabilities_agree(run, monkeypatch):
    export(run, NAME, ["fp32"])
    settings = run.config.evaluation
    reference = Reference(save_random_model(run, seed=4), PreparedData(run.data), settings, run.config.seed)
    search = Translator.translate_ids
    monkeypatch.setattr(Translator, "translate_ids", lambda self, sources: search(self, sources)[::-1])
    with pytest.raises(ArtifactError, match="validation sentences differently from PyTorch"):
        reference.check_exact(run.export(NAME) / "fp32")


def test_weights_that_are_not_numbers_are_refused(run):
    model = save_random_model(run, seed=4)
    with torch.no_grad():
        model.decoder.layers[0].fc1.bias[0] = float("nan")
    save_model(run.sub(NAME), model)
    with pytest.raises(ArtifactError, match="holds infinities or NaN in decoder.layers.0.fc1.bias; train it again"):
        export(run, NAME, ["fp32"])
    assert not (run.export(NAME) / "fp32").exists()


def test_an_interrupted_export_is_done_again(run, monkeypatch):
    """Killed while the bundle is written, the building folder remains; the next run removes it."""
    building = run.export(NAME).with_name(f".{NAME}.building")
    (building / "fp32").mkdir(parents=True)
    (building / "fp32" / "weights.bin").write_bytes(b"half")
    export(run, NAME, ["fp32"])
    open_bundle(run.export(NAME) / "fp32")
    assert not building.exists()


def test_full_disk(run, monkeypatch, capsys):
    export(run, NAME, ["fp32"])
    before = tree(run.export(NAME))
    save_random_model(run, seed=7)

    def no_space(*_):
        raise OSError(28, "No space left on device", "weights.bin")

    monkeypatch.setattr("hat.export.translation.bundle_maker.write_bundle", no_space)
    with pytest.raises(SystemExit) as caught:
        main([NAME, "--run", str(run.path)])
    assert caught.value.code == 7
    assert "the disk is full" in capsys.readouterr().err
    assert tree(run.export(NAME)) == before


def test_all_trained_are_exported_without_a_name(run, capsys):
    main(["--run", str(run.path), "--precision", "int8"])
    assert open_bundle(run.export(NAME) / "int8").description["precision"] == "int8"
    shutil.rmtree(run.path / "sub")
    with pytest.raises(SystemExit) as caught:
        main(["--run", str(run.path)])
    assert caught.value.code == 4
    assert "holds no trained SubTransformer yet; run hat-train-sub" in capsys.readouterr().err


def test_unknown_names_and_precisions(run):
    with pytest.raises(ArtifactError, match="train a model first"):
        export(run, "nonesuch")
    with pytest.raises(UsageError, match="'int3' is not one of fp32, int8, fp16, bf16"):
        export(run, NAME, ["int3"])


def test_the_sample_is_bounded(monkeypatch, run):
    monkeypatch.setattr(export_check, "SENTENCES", 2)
    reference = Reference(
        save_random_model(run, seed=4), PreparedData(run.data), run.config.evaluation, run.config.seed
    )
    export(run, NAME, ["fp32"])
    assert reference.compare(run.export(NAME) / "fp32")["sentences"] == 2


def lossy(monkeypatch, bleu):
    """Make a translation by an int8 bundle score `bleu`, by another one 40."""
    search = Translator.translate

    def translate(self, sentences):
        assert search(self, sentences)
        return [self.bundle.description["precision"]] * len(sentences)

    scores = {"int8": bleu, "fp32": 40.0}
    monkeypatch.setattr(Translator, "translate", translate)
    monkeypatch.setattr(export_quality, "score_translations", lambda texts, *_: {"bleu": scores[texts[0]]})


def test_an_int8_bundle_that_loses_too_much_is_refused_and_nothing_is_lost(run, monkeypatch, capsys):
    export(run, NAME, ["int8"])
    before = tree(run.export(NAME) / "int8")
    save_random_model(run, seed=7)
    lossy(monkeypatch, 39.64)
    with pytest.raises(SystemExit) as caught:
        main([NAME, "--run", str(run.path)])
    assert caught.value.code == 4
    message = capsys.readouterr().err
    assert "the int8 bundle loses 0.36 BLEU against fp32 on the validation set, and 0.3 is allowed" in message
    assert "hat-export --allow-bleu-drop 0.4 accepts it" in message
    assert message.count("\n") == 1
    assert tree(run.export(NAME) / "int8") == before
    assert open_bundle(run.export(NAME) / "fp32")  # exported nevertheless
    assert not list(run.export(NAME).parent.glob(".*"))

    main([NAME, "--run", str(run.path), "--allow-bleu-drop", "0.4"])
    assert tree(run.export(NAME) / "int8") != before
    quality = json.loads((run.export(NAME) / "export.json").read_text())["bundles"]["int8"]["quality"]
    assert quality["bleu_drop"] == pytest.approx(0.36)


def test_int8_alone_is_compared_with_fp32_too(run, monkeypatch):
    lossy(monkeypatch, 39.69)
    with pytest.raises(ArtifactError, match="loses 0.31 BLEU"):
        export(run, NAME, ["int8"])
    lossy(monkeypatch, 39.71)
    export(run, NAME, ["int8"])
    assert not (run.export(NAME) / "fp32").exists()


@pytest.mark.parametrize("drop", ["-0.1", "nan", "much"])
def test_an_impossible_allowance(run, drop, capsys):
    with pytest.raises(SystemExit) as caught:
        main([NAME, "--run", str(run.path), "--allow-bleu-drop", drop])
    assert caught.value.code == 2
    assert "--allow-bleu-drop" in capsys.readouterr().err


def test_quality_and_shortlist_are_reported(run, capsys):
    export(run, NAME, ["fp32"])
    bundle = run.export(NAME) / "fp32"
    result = json.loads((run.export(NAME) / "export.json").read_text())["bundles"]["fp32"]
    references = PreparedData(run.data).raw("valid")[1]
    for key, shortlist in (("bleu", False), ("bleu_shortlist", True)):
        translations = Translator(bundle, shortlist=shortlist).translate(SENTENCES)
        assert result["quality"][key] == score_translations(translations, references, "xx")["bleu"]
    assert result["quality"]["sentences"] == len(SENTENCES)
    assert 0.9 < result["shortlist"]["covered"] <= 1  # validation and training set are the same here
    assert 4 < result["shortlist"]["mean_tokens"] <= 50
    assert "with the shortlist" in capsys.readouterr().out


def test_int8_is_calibrated_on_the_training_set(run, monkeypatch):
    """With the default ranges instead, the logarithms of the probabilities are much farther off."""
    export(run, NAME, ["int8"])
    calibrated = json.loads((run.export(NAME) / "export.json").read_text())["bundles"]["int8"]["check"]
    build = export_module.build_graphs
    monkeypatch.setattr(export_module, "build_graphs", lambda *content, **_: build(*content[:-1]))
    shutil.rmtree(run.export(NAME))
    export(run, NAME, ["int8"], allowed_drop=100)
    other = json.loads((run.export(NAME) / "export.json").read_text())["bundles"]["int8"]["check"]
    assert calibrated["largest_logit_difference"] < 0.7 * other["largest_logit_difference"]


def test_the_one_file_runtime_is_put_into_new_and_into_finished_bundles(run):
    arguments = [NAME, "--run", str(run.path), "--precision"]
    main([*arguments, "fp32"])
    weights = run.export(NAME) / "fp32" / "weights.bin"
    before = weights.stat().st_mtime_ns
    main([*arguments, "fp32", "int8", "--standalone"])
    for precision in ("fp32", "int8"):
        assert "translate.py" in open_bundle(run.export(NAME) / precision).description["files"]
    assert weights.stat().st_mtime_ns == before
    command = [sys.executable, run.export(NAME) / "int8" / "translate.py"]
    result = subprocess.run(command, input=SENTENCES[0].encode(), capture_output=True, check=True)
    assert result.stdout.decode() == Translator(run.export(NAME) / "int8").translate(SENTENCES[:1])[0] + "\n"
