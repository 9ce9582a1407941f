"""A language model with a neural cache: trained, searched for, judged and deployed, each the same."""

import json
import math
import signal

import pytest
from deaths import dying_at, run_and_die
from tiny_language_run import make_run
from tiny_run import make_run as make_translation_run

from hat.cli import cache, evaluate, export
from hat.elastic.cache import NeuralCache
from hat.errors import ArtifactError, UsageError
from hat.evaluation.language_modeling.cached import give_cache
from hat.experiment.run_directory import check_trained
from hat.models.checkpoint import load_model
from hat.training.sub import train_sub

STATES = 15
CONFIG = {"model": {"cache": STATES}, "sub_training": {"max_update": 20}}


def train(folder, **sections):
    run = make_run(folder, **sections)
    run.prepare()
    train_sub(run, "full", run.config.search_space.full_transformer())
    return run


def evaluated(capsys, run, target):
    """Nats a word of the validation text."""
    capsys.readouterr()
    evaluate.main([str(target), "--run", str(run.path), "--split", "valid", "--no-latency", "--json"])
    return json.loads(capsys.readouterr().out)["nats_per_word"]


def test_a_cache_is_trained_and_its_bundle_predicts_as_the_model_does(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    run = train(tmp_path, **CONFIG)
    learnt = load_model(run.sub("full")).cache
    assert (learnt.states, round(learnt.theta.item(), 4)) != (STATES, 0.05)
    assert learnt.states == STATES
    export.main(["full", "--precision", "fp32", "--run", str(run.path)])  # held against PyTorch within 1e-4
    by_model = evaluated(capsys, run, "full")
    assert evaluated(capsys, run, run.export("full") / "fp32") == pytest.approx(by_model, abs=1e-4)


def test_one_that_is_searched_for_helps_as_much_as_it_says(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    run = train(tmp_path, sub_training={"max_update": 10, "lr": 0.001})  # which has learnt little
    cache.main(["full", "--states", str(STATES), "--run", str(run.path)])
    found = json.loads((run.sub("full-cache") / "cache.json").read_text())
    assert found["valid_nats"] < found["nats_without"]
    assert evaluated(capsys, run, "full") == pytest.approx(found["nats_without"], abs=1e-5)
    assert evaluated(capsys, run, "full-cache") == pytest.approx(found["valid_nats"], abs=1e-5)
    assert math.isclose(load_model(run.sub("full-cache")).cache.share.item(), found["share"], rel_tol=1e-5)

    before = (run.sub("full-cache") / "model.safetensors").stat().st_mtime_ns
    give_cache(run, "full", STATES, "full-cache")
    assert "up to date" in capsys.readouterr().out
    assert (run.sub("full-cache") / "model.safetensors").stat().st_mtime_ns == before
    with pytest.raises(UsageError, match=r"--name full: .* holds a training's result"):
        give_cache(run, "full-cache", STATES, "full")
    with pytest.raises(SystemExit, match="4"):
        cache.main(["absent", "--run", str(run.path)])
    assert "there are: full, full-cache" in capsys.readouterr().err


def contents(folder):
    files = [path for path in folder.iterdir() if path.is_file() and not path.name.endswith(".tmp")]
    return {path.name: path.read_bytes() for path in files}


def test_killed_in_the_search_or_in_writing_nothing_is_damaged_and_run_again_it_is_the_same(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run = train(tmp_path, sub_training={"max_update": 10, "lr": 0.001})
    network = contents(run.sub("full"))

    def call(name, states=STATES):
        cache.main(["full", "--states", str(states), "--name", name, "--run", str(run.path)])

    def searching(losses):
        NeuralCache.losses = dying_at(losses, NeuralCache.losses)
        call("again")

    call("full-cache")
    for losses in (1, 20):
        assert run_and_die(lambda losses=losses: searching(losses)) == -signal.SIGKILL
        assert not (run.sub("again") / "model.safetensors").exists()
    for replacements in range(2, 7):  # after that of runs/latest; the last one is of done.json
        assert run_and_die(lambda: call("again"), replacements) == -signal.SIGKILL
        with pytest.raises(ArtifactError, match="holds no trained network 'again'"):
            check_trained(run, "again")
    call("again")
    assert contents(run.sub("again")) == contents(run.sub("full-cache"))

    assert run_and_die(lambda: call("again", 12), replacements=4) == -signal.SIGKILL  # half of it is of another cache
    call("again")
    assert contents(run.sub("again")) == contents(run.sub("full-cache"))
    assert contents(run.sub("full")) == network


def test_one_that_does_not_help_is_not_written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run = train(tmp_path, sub_training={"max_update": 20})
    with pytest.raises(UsageError, match=r"no cache of 15 states helps \(validation loss .* nothing was written"):
        give_cache(run, "full", STATES, "full-cache")
    assert not (run.sub("full-cache") / "model.safetensors").exists()


def test_a_translator_has_none(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run = make_translation_run(tmp_path)
    with pytest.raises(UsageError, match="networks of task translation have no cache"):
        give_cache(run, "full", STATES, "full-cache")
