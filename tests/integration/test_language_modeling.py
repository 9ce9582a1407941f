"""A tiny language model through the real stages: prepared, trained, killed and gone on with, judged."""

import json
import math
import signal
import subprocess
import sys

import pytest
import torch
from deaths import run_and_die
from html_pages import text_of
from tiny_language_run import CONFIG, make_run

from hat import files
from hat.cli import measure_latency, search
from hat.cli import run as hat_run
from hat.deploy.bundle import open_bundle
from hat.errors import UsageError
from hat.experiment.config import load_experiment
from hat.models.checkpoint import load_model
from hat.training.loop import TrainingLoop
from hat.training.sub import train_sub
from hat.training.super import train_super
from latency_predictor.sampling.lengths import run_lengths
from latency_predictor.sampling.sample import read_samples
from search import front

SEARCHING = 11  # the file that is replaced after the first generation, the predictor's among those before it


def command(name, run, *arguments):
    main = f"from hat.cli.{name} import main; main()"
    words = [sys.executable, "-c", main, *map(str, arguments), "--run", str(run.path)]
    return subprocess.run(words, capture_output=True, text=True)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("language")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        run = make_run(folder)
        run.prepare()
        train_super(run)
        train_sub(run, "full", run.config.search_space.full_transformer())
        yield run


@pytest.mark.slow
def test_super_and_sub_training_learn_and_validation_agrees_with_the_evaluation(trained):
    prepared = trained.prepared()
    rows = [json.loads(line) for line in (trained.sub("full") / "metrics.jsonl").read_text().splitlines()]
    at_random = math.log(prepared.vocabulary)
    assert rows[-1]["valid"]["mean"] < 0.5 * at_random
    supers = [json.loads(line) for line in (trained.super_ / "metrics.jsonl").read_text().splitlines()]
    assert supers[-1]["valid"]["largest"] < supers[-1]["valid"]["smallest"] < at_random
    result = command("evaluate", trained, "full", "--no-latency", "--split", "valid", "--json")
    found = json.loads(result.stdout)
    assert found["words"] == len(prepared.stream("valid"))
    assert found["nats_per_word"] == pytest.approx(rows[-1]["valid"]["mean"], abs=0.1)
    assert found["perplexity"] == pytest.approx(math.exp(found["nats_per_word"]))
    assert found["parameters"] == sum(weight.numel() for weight in load_model(trained.sub("full")).parameters())


@pytest.mark.slow
def test_exported_it_predicts_as_pytorch_does(trained):
    result = command("export", trained, "full", "--allow-drop", 5)
    assert "of PyTorch's" in result.stdout
    bundle = trained.export("full") / "fp32"
    qualities = files.read_json(trained.export("full") / "export.json", "")["bundles"]
    assert abs(qualities["int8"]["quality"]["perplexity_growth_percent"]) < 5
    rows = [
        json.loads(command("evaluate", trained, target, "--no-latency", "--json").stdout) for target in ("full", bundle)
    ]
    assert rows[1]["perplexity"] == pytest.approx(rows[0]["perplexity"], rel=1e-4)
    assert (rows[1]["kind"], rows[1]["parameters"]) == ("bundle", rows[0]["parameters"])
    assert "up to date" in command("export", trained, "full", "--precision", "fp32").stdout


@pytest.mark.slow
def test_an_architecture_file_is_judged_with_inherited_weights_and_compared(trained, tmp_path):
    path = tmp_path / "smallest.yaml"
    files.write_yaml(path, trained.config.search_space.smallest().to_dict())
    result = command("evaluate", trained, path, "--no-latency", "--against", "full")
    assert "paired t-test over lines" in result.stdout
    assert "95 % interval of the perplexity" in result.stdout


@pytest.fixture(scope="module")
def finished(trained):
    """The run after hat-run, which went on from a measuring and a search that were killed."""
    run, device = ["--run", str(trained.path)], ["--device", "cpu"]
    assert run_and_die(lambda: measure_latency.main([*device, *run]), replacements=2) == -signal.SIGKILL
    assert read_samples(trained.latency / "cpu.jsonl", trained.config.search_space)
    measure_latency.main([*device, *run])
    budget = ["--latency", "90%"]
    assert run_and_die(lambda: search.main([*device, *budget, *run]), replacements=SEARCHING) == -signal.SIGKILL
    assert (trained.search("cpu-90pct") / "state.json").exists()
    assert not (trained.search("cpu-90pct") / "choice.json").exists()
    hat_run.main([str(trained.path.parent / "tiny.yaml"), *device, *run])
    return trained


@pytest.mark.slow
def test_killed_while_measuring_and_searching_it_ends_with_a_choice_within_its_budget(finished, capsys):
    choice = json.loads((finished.search("cpu-90pct") / "choice.json").read_text())
    assert 0 < choice["measured_ms"] <= choice["budget_ms"]
    assert 0 < choice["valid_nats"] < math.log(finished.prepared().vocabulary)
    samples = read_samples(finished.latency / "cpu.jsonl", finished.config.search_space)
    assert len(samples) == 14
    assert len({sample.architecture.decoder.bin_dims for sample in samples}) > 2
    assert choice["architecture"]["decoder"]["bin_dims"] in ([4, 2], [4, 4], [8, 2], [8, 4])
    assert samples[0].lengths[0].lengths == {"prefill": 6, "decode": 4}
    whole_ms = sum(timing.p25 for timing in samples[0].lengths[0].phases_ms.values())
    assert samples[0].timing(run_lengths(finished)).p25 == pytest.approx(whole_ms / 4)  # of a word
    hat_run.main([str(finished.path.parent / "tiny.yaml"), "--device", "cpu", "--run", str(finished.path)])
    stages = [line for line in capsys.readouterr().out.splitlines() if line.endswith("up to date")]
    assert any(line.startswith("search for 90%") for line in stages)


@pytest.mark.slow
def test_the_report_says_perplexity_and_what_a_latency_is_of(finished):
    text = text_of((finished.path / "report.html").read_text(encoding="utf-8"))
    assert "A latency is that of a word, of calls that read 6 words and write 4." in text
    assert "validation perplexity" in text
    assert "int8" in text
    kept = json.loads((finished.export("cpu-90pct") / "evaluation.fp32.json").read_text())
    assert f"{kept['perplexity']:.2f}" in text
    assert 0 < kept["latency_ms"] <= kept["latency_p90_ms"]


@pytest.mark.slow
def test_a_whole_front_is_searched_and_shown_by_perplexity(finished, capsys, monkeypatch):
    monkeypatch.setattr(front, "POINTS", 2)
    search.main(["--front", "--device", "cpu", "--run", str(finished.path)])
    assert "perplexity" in capsys.readouterr().out
    rows = json.loads((finished.search("cpu-front") / "front.json").read_text())
    assert all("size_int8_bytes" in row for row in rows)
    page = text_of((finished.search("cpu-front") / "report.html").read_text(encoding="utf-8"))
    assert "latency and perplexity" in page
    full = finished.config.search_space.full_transformer()
    written = open_bundle(finished.export("full") / "fp32").size_bytes
    assert 0 <= finished.task.bundle_size(finished, "fp32")(full) - written < 20_000


@pytest.mark.slow
def test_a_budget_of_another_percentile_needs_prompts_of_several_lengths(finished, capsys):
    with pytest.raises(SystemExit) as ended:
        search.main(["--device", "cpu", "--latency", "5ms@p90", "--run", str(finished.path)])
    assert ended.value.code == 2
    assert "set latency.prompt to null" in capsys.readouterr().err


@pytest.mark.slow
def test_interrupted_it_ends_with_the_same_weights(trained, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run = make_run(tmp_path)
    run.prepare()
    run_on = TrainingLoop.run
    monkeypatch.setattr(TrainingLoop, "run", lambda self: (run_on(self, until=13), sys.exit(9)))
    with pytest.raises(SystemExit):
        train_sub(run, "full", run.config.search_space.full_transformer())
    monkeypatch.setattr(TrainingLoop, "run", run_on)
    train_sub(run, "full", run.config.search_space.full_transformer())
    ours, theirs = (load_model(each.sub("full")).state_dict() for each in (run, trained))
    assert all(torch.equal(weight, theirs[name]) for name, weight in ours.items())


@pytest.mark.parametrize(
    ("section", "changes", "message"),
    [
        ("model", {"cutoffs": [12, 6]}, "model.cutoffs: .* do not rise"),
        ("model", {"bin_dims": [24, 8]}, "model.bin_dims: 2 values for 3 bins"),
        ("model", {"bin_dims": [16, 8, 4]}, "the largest embed_dim, 24"),
        ("data", {"max_length": 8}, "decoder.context: 12 is above data.max_length: 8"),
        ("data", {"vocabulary_size": 4}, "data.vocabulary_size: 4 is not between 5"),
        ("sub_training", {"label_smoothing": 0.1}, "sub_training.label_smoothing: 0.1 has no place"),
        ("super_training", {"distillation": {}}, "super_training.distillation: language models learn from text alone"),
        (
            "sub_training",
            {"distillation": {"sequence_level": "beside"}},
            "distillation.sequence_level: .* set it to none",
        ),
        ("latency", {"words": 1}, "latency.words: 1 is not between 2"),
        ("latency", {"prompt": 0}, "latency.prompt: 0 is not between 1"),
        ("super_training", {"max_tokens": 16}, "super_training.max_tokens: 16 is less than one sequence"),
    ],
)
def test_settings_that_do_not_go_together_are_refused_by_name(tmp_path, section, changes, message):
    files.write_yaml(tmp_path / "tiny.yaml", CONFIG | {section: CONFIG[section] | changes})
    with pytest.raises(UsageError, match=message):
        load_experiment(tmp_path / "tiny.yaml")


@pytest.mark.parametrize(
    ("bin_dims", "message"),
    [
        ([[24], [8], [4]], r"3 lists of choices, but 2 bins after the first.* \(model.cutoffs\); give one for each"),
        ([[8, 4]], "1 lists of choices, but 2 bins after the first"),
        ([[8, 4], [2, 1]], r"the largest are \[8, 2\], but model.bin_dims says \[8, 4\] of the bins after the first"),
        ([[25, 8], [4]], "25 is above the largest embed_dim, 24; use at most 24"),
        ([[8, 4], [9, 4]], "9 is above the 8 of likelier words; use at most 8"),
        ([8, 4], "expected a list, got 8"),
    ],
)
def test_choices_of_bins_that_do_not_go_with_the_tables_are_refused_in_a_line(tmp_path, bin_dims, message):
    decoder = CONFIG["search_space"]["decoder"] | {"bin_dims": bin_dims}
    files.write_yaml(tmp_path / "tiny.yaml", CONFIG | {"search_space": {"decoder": decoder}})
    with pytest.raises(UsageError, match=f"search_space.decoder.bin_dims: {message}") as refused:
        load_experiment(tmp_path / "tiny.yaml")
    assert "\n" not in str(refused.value)


def test_a_decoder_without_a_context_is_no_language_model(tmp_path):
    whole = CONFIG["search_space"]["decoder"].items()
    decoder = {name: choices for name, choices in whole if name not in ("context", "bin_dims")}
    files.write_yaml(tmp_path / "tiny.yaml", CONFIG | {"search_space": {"decoder": decoder}})
    with pytest.raises(UsageError, match="decoder.context: give at least one choice"):
        load_experiment(tmp_path / "tiny.yaml")
    del decoder["head_dim"]
    files.write_yaml(tmp_path / "tiny.yaml", CONFIG | {"search_space": {"decoder": decoder, "head_dim": 8}})
    with pytest.raises(UsageError, match="keys 'head_dim' and 'context' are missing"):
        load_experiment(tmp_path / "tiny.yaml")
