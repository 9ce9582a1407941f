"""The benchmark of a search's winner: the random architectures it meets, its figures by hand, a run from end to end."""

import json
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from search_toys import latency
from tiny_run import make_run

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "benchmarks"))  # its modules import each other by name

import winner_against_random as benchmark

from hat import files
from hat.architecture.stacks import Architecture
from hat.config import from_mapping
from hat.errors import UsageError
from hat.experiment.config import load_experiment
from hat.experiment.run_directory import RunDirectory, mark_done
from hat.experiment.sections import SubTrainingConfig
from hat.training.sub import train_sub
from hat.training.super import train_super

ROOT = Path(__file__).resolve().parents[1]
SPACE = load_experiment(ROOT / "configs" / "quickstart.yaml").search_space


OVERHEAD_MS, FACTOR = 0.5, 1.6


def call_ms(architecture):
    """What a real call takes of an architecture that the ruler gives `latency`."""
    return OVERHEAD_MS + FACTOR * latency(architecture)


def predict(architectures):
    return np.array([latency(architecture) for architecture in architectures])


def test_the_random_ones_take_as_long_and_never_above_the_budget():
    winner = SPACE.sample(np.random.default_rng(7))
    winner_ms = latency(winner)
    rows = benchmark.choose_architectures(SPACE, predict, winner, 1.02 * winner_ms, 12)
    assert rows[0]["architecture"] == winner
    assert len({row["architecture"] for row in rows}) == len({row["id"] for row in rows}) == 13
    milliseconds = [latency(row["architecture"]) for row in rows[1:]]
    assert 0.95 * winner_ms <= min(milliseconds) < 0.99 * winner_ms
    assert winner_ms < max(milliseconds) <= 1.02 * winner_ms
    unlimited = benchmark.choose_architectures(SPACE, predict, winner, 9e9, 12)
    assert max(latency(row["architecture"]) for row in unlimited) <= 1.05 * winner_ms


def test_too_few_of_the_same_latency_are_told():
    with pytest.raises(UsageError, match="random architectures, 0 take .* ms, where 12 are needed"):
        benchmark.choose_architectures(SPACE, predict, SPACE.largest(), 1.0, 12)


ROWS = [
    {"id": "winner", "loss": 0.20, "losses": [0.20], "bleu": 85.0},
    {"id": "random1", "loss": 0.18, "losses": [0.18], "bleu": 84.0},
    {"id": "random2", "loss": 0.25, "losses": [0.25], "bleu": 84.5},
    {"id": "random3", "loss": 0.30, "losses": [0.30], "bleu": 70.0},
]


def seeds(spread):
    """ROWS with three seeds each, whose losses have this standard deviation."""
    return [row | {"losses": [row["loss"] - spread, row["loss"], row["loss"] + spread]} for row in ROWS]


def test_rank_and_difference_are_those_computed_by_hand():
    found = benchmark.compare(ROWS)
    assert found["rank_range"] is None
    assert found["rank"] == {"loss": 2, "bleu": 1}
    assert found["best_random"] == {"loss": "random1", "bleu": "random2"}
    assert found["difference"] == pytest.approx({"loss": 0.02, "bleu": 0.5})


def test_the_rank_is_as_sure_as_the_losses_are():
    assert benchmark.compare(seeds(0.0001))["rank_range"] == [2, 2]
    error = 0.02  # of a mean, as far as winner and random1 are apart: these change places with 24 %, others with 4 %
    assert benchmark.compare(seeds(error * 3**0.5))["rank_range"] == [1, 2]
    assert benchmark.compare(seeds(1.0))["rank_range"] == [1, 4]


def test_figures_over_seeds_are_those_computed_by_hand():
    found = benchmark.average([{"validation_loss": loss, "bleu": 100 * loss} for loss in (0.1, 0.2, 0.6)])
    assert found["losses"] == [0.1, 0.2, 0.6]
    assert found["loss_error"] == pytest.approx(0.07**0.5 / 3**0.5)
    assert (found["loss"], found["bleu"]) == (pytest.approx(0.3), pytest.approx(30.0))
    assert benchmark.average([{"validation_loss": 0.2, "bleu": 80.0}])["loss_error"] is None


@pytest.mark.parametrize(
    ("settings", "origins"),
    [
        ({"init": "scratch"}, []),
        ({"init": "inherit"}, ["super"]),
        ({"init": "scratch", "distillation": {"word_level": 0.5}}, ["sub/full"]),
        ({"init": "scratch", "distillation": {"word_level": 0.5, "teachers": ["super", "big"]}}, ["sub/big", "super"]),
    ],
)
def test_what_the_trainings_start_with_or_learn_from(settings, origins):
    sub_training = from_mapping(SubTrainingConfig, {"max_update": 9, "warmup_updates": 1, "lr": 0.1, **settings}, "")
    run = SimpleNamespace(config=SimpleNamespace(sub_training=sub_training))
    assert benchmark.find_origins(run) == origins


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A run with a SuperTransformer and a search `pick`, and the teacher that its sub-trainings learn from."""
    folder = tmp_path_factory.mktemp("winner")
    distillation = {"word_level": 0.5, "teachers": ["full"]}
    run = make_run(folder, sub_training={"init": "inherit", "distillation": distillation})
    train_super(run)
    train_sub(run, "full", run.config.search_space.full_transformer())
    directory = run.search("pick")
    winner = run.config.search_space.sample(np.random.default_rng(3))
    files.write_yaml(directory / "architecture.yaml", winner.to_dict())
    conversion = {"overhead_ms": OVERHEAD_MS, "factor": FACTOR, "spread": 0.0, "count": 5}
    choice = {"device": "cpu", "quantile": 0.5, "conversion": conversion, "budget_ms": 1.1 * call_ms(winner)}
    files.write_json(directory / "choice.json", choice)
    mark_done(directory, {}, [])
    return run


@pytest.fixture
def judged(finished, tmp_path, monkeypatch):
    """A function that runs the benchmark with a made-up predictor."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("latency_predictor.fitting.fit.load_or_fit", lambda *_: SimpleNamespace(predict=predict))
    monkeypatch.setattr(benchmark, "NEAR", 0.2)

    def judge(*arguments):
        benchmark.main(["--run", str(finished.path), "--search", "pick", "--count", "1", *arguments])

    return judge


def test_from_end_to_end(finished, judged, capsys):
    judged("--json", "out.json", "--seeds", "2")
    found = json.loads(Path("out.json").read_text())
    architectures = files.read_json_lines(finished.path / "random" / "pick" / "architectures.jsonl")
    for row in architectures:
        assert row["predicted_ms"] == pytest.approx(call_ms(Architecture.from_dict(row["architecture"])), abs=1e-3)
        assert row["predicted_ms"] <= 1.1 * architectures[0]["predicted_ms"]
    assert [len(set(one["losses"])) for one in (found["winner"], *found["random"])] == [2, 2]
    assert found["rank_range"][0] <= found["rank"]["loss"] <= found["rank_range"][1]
    printed = capsys.readouterr().out
    assert "by loss" in printed
    trained = RunDirectory(finished.path / "random" / "pick")
    assert trained.config.sub_training == finished.config.sub_training
    logs = [files.read_json_lines(trained.sub(name) / "metrics.jsonl") for name in ("winner", "random1")]
    assert [rows[-1]["update"] for rows in logs] == [12] * 2
    assert found["difference"]["loss"] == pytest.approx(found["winner"]["loss"] - found["random"][0]["loss"])
    assert 0 < found["paired"]["p_value"] <= 1
    first = {path.parent.name: files.read_json(path, "")["bleu"] for path in trained.path.glob("sub/*/result.json")}
    assert found["paired"]["bleu"] == pytest.approx(first["winner"])
    assert found["paired"]["baseline_bleu"] == pytest.approx(first[found["best_random"]["bleu"]])
    times = [path.stat().st_mtime_ns for path in trained.path.glob("sub/*/result.json")]
    judged()
    assert [path.stat().st_mtime_ns for path in trained.path.glob("sub/*/result.json")] == times


def test_what_is_wrong_is_told(finished, judged, capsys):
    def failure(*arguments):
        with pytest.raises(SystemExit) as end:
            judged(*arguments)
        message = capsys.readouterr().err
        assert message.count("\n") == 1
        return end.value.code, message

    assert failure("--search", "none") == (4, failure("--search", "none")[1])
    assert "none holds no finished search; run hat-search" in failure("--search", "none")[1]
    judged()
    capsys.readouterr()
    assert "has 1 random architectures; give --count 1" in failure("--count", "5")[1]
    weights = finished.super_ / "model.safetensors"
    before = weights.read_bytes()
    weights.write_bytes(before + b"other")
    assert "another origins (super: " in failure()[1]
    weights.write_bytes(before)
    done = finished.sub("full") / "done.json"
    done.rename(done.with_suffix(".away"))
    assert "sub/full holds no trained model" in failure()[1]
    done.with_suffix(".away").rename(done)
    other = finished.config.search_space.largest()
    files.write_yaml(finished.search("pick") / "architecture.yaml", other.to_dict())
    assert "is about an earlier winner of pick" in failure()[1]
