"""The benchmark of compression: its rows and means by hand, and that finished trainings are reused."""

import json
import sys
from pathlib import Path

import pytest
import tiny_classifier

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "benchmarks"))  # its modules import each other by name

import compression as benchmark

from hat.evaluation.evaluate import evaluate
from hat.experiment.run_directory import RunDirectory

RATES = (1.5, 3.0)


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    """(folder, what the benchmark wrote) of two methods at two rates."""
    folder = tmp_path_factory.mktemp("benchmark")
    tiny_classifier.trained_run(folder, sub_training={"max_update": 60})
    return folder, measure(folder)


def measure(folder):
    run, work, found = (str(folder / name) for name in ("run", "work", "found.json"))
    rates = ["--rates", *map(str, RATES), "--methods", "gradual", "one_shot"]
    benchmark.main(
        ["--run", run, "--network", "full", "--work", work, *rates, "--seeds", "1", "--updates", "8", "--json", found]
    )
    return json.loads(Path(found).read_text())


def test_every_row_is_the_quality_of_a_network_with_that_share_of_the_weights(measured):
    folder, found = measured
    rows = {(row["method"], row["rate"]): row for row in found["rows"]}
    assert set(rows) == {(method, rate) for method in ("gradual", "one_shot") for rate in RATES}
    work = RunDirectory.open(folder / "work" / "seed-1")
    for (method, rate), row in rows.items():
        name = f"{method}-{rate:g}x-8"
        report = json.loads((work.sub(name) / "pruned.json").read_text())
        assert rate <= report["rate"] < 1.4 * rate
        assert row["quality"] == evaluate(work, name, None, latency=False, again=True)["accuracy"]


def test_means_are_those_of_the_rows_and_their_change(measured):
    _, found = measured
    for row in found["rows"]:
        mean, change = found["means"][row["method"]][f"{row['rate']:g}"]
        assert mean == row["quality"]
        assert change == pytest.approx(row["quality"] - found["dense"])


def test_finished_trainings_are_reused(measured, capsys):
    folder, before = measured
    weights = sorted((folder / "work").rglob("sub/*x-8/model.safetensors"))
    assert len(weights) == 4
    times = [path.stat().st_mtime_ns for path in weights]
    capsys.readouterr()
    again = measure(folder)
    assert capsys.readouterr().out.count("is up to date") == 4
    assert [path.stat().st_mtime_ns for path in weights] == times
    assert again["means"] == before["means"]
