"""The benchmark of promised latencies, on files written here by hand and bundles that take a known time."""

import itertools
import json
import sys
from pathlib import Path

import pytest
from search_toys import CONFIG

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "benchmarks"))

import promised_latency as benchmark

from hat import files
from hat.experiment.run_directory import RunDirectory

CALLS_MS = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0]


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Searches for the median and for 95 of 100 sentences; bundles in fp32 and, of full, in int8, which ran nowhere."""
    monkeypatch.chdir(tmp_path)
    files.write_yaml(tmp_path / "toy.yaml", CONFIG)
    run = RunDirectory.create(tmp_path / "toy.yaml", tmp_path / "run")
    for name, precision, median_ms in (("full", "fp32", 11.0), ("full", "int8", None), ("p50", "fp32", 5.0)):
        write_bundle(run, name, precision, median_ms)
    write_bundle(run, "p95", "fp32", 5.0)
    write_choice(run, "p50", "50%", 0.5)
    write_choice(run, "p95", "9ms@p95", 0.95)
    monkeypatch.setattr(
        benchmark, "call_in_turns", lambda bundles, sentences: ({each: times(each) for each in bundles}, 0.02)
    )
    monkeypatch.setattr(type(run.task), "calls", lambda *_: {"sentences": ["Hallo."], "ids": [[4, 2]]})
    return run


def write_bundle(run, name, precision, median_ms):
    """The machine was faster by a tenth while all but the full-size one were timed."""
    files.write_json(run.export(name) / precision / "bundle.json", {})
    evaluation = {"latency_ms": median_ms, "latency_p90_ms": median_ms and 2 * median_ms}
    evaluation["full_latency_ms"] = median_ms and (11.0 if name == "full" else 9.9)
    files.write_json(run.export(name) / f"evaluation.{precision}.json", evaluation)


def write_choice(run, name, budget, quantile):
    choice = {
        "name": name,
        "budget": budget,
        "quantile": quantile,
        "precision": "fp32",
        "measured_ms": 9.1,
        "full_ms": 18.2,
    }
    files.write_json(run.search(name) / "choice.json", choice)


def times(bundle):
    return [2 * ms for ms in CALLS_MS] if "/full/" in bundle else CALLS_MS


def test_every_percentile_is_held_against_its_budget(run, capsys):
    benchmark.main(["--run", str(run.path), "--calls", "10", "--json", "figures.json"])
    rows = {row["name"]: row for row in json.loads(Path("figures.json").read_text())["bundles"]}
    assert list(rows) == ["full", "p50", "p95"]  # int8 was measured nowhere
    assert rows["full"]["seen_ms"] == pytest.approx(11.0)  # the middle of 2 to 20
    assert rows["full"]["ratio"] == rows["full"]["paced"] == pytest.approx(1.0)
    half, most = rows["p50"], rows["p95"]
    assert half["budget_ms"] == pytest.approx(5.5)  # half of what the full-size Transformer takes here
    assert (half["within"], half["met"]) == (pytest.approx(0.5), True)
    assert half["promised_ms"] == 5.0
    assert (half["ratio"], half["paced"]) == (pytest.approx(1.1), pytest.approx(0.5 * 9.9 / 5.0))
    assert most["promised_ms"] == 9.1  # the search's: no evaluation knows that percentile
    assert most["seen_ms"] == pytest.approx(9.55)  # 95 % of the way from 1 to 10
    assert most["paced"] == pytest.approx(1.0)  # it and the full-size one were both promised too little, alike
    assert (most["within"], most["met"]) == (pytest.approx(0.9), False)
    assert "MISSED" in capsys.readouterr().out


def test_a_run_without_results_is_refused_in_a_line(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    files.write_yaml(tmp_path / "toy.yaml", CONFIG)
    RunDirectory.create(tmp_path / "toy.yaml", tmp_path / "run")
    with pytest.raises(SystemExit):
        benchmark.main(["--run", str(tmp_path / "run")])
    assert "holds no bundle whose latency was measured; finish the run with hat-run" in capsys.readouterr().err


def test_calls_are_timed_in_blocks_that_take_turns(monkeypatch):
    """Each block begins with a call that isn't counted."""
    asked, clock = [], itertools.count()

    def bundle_call(bundle, threads, accelerator):
        return lambda sentence, _ids: asked.append((bundle, sentence)), True

    monkeypatch.setattr("latency_predictor.on_device.bundle_calls.bundle_call", bundle_call)
    monkeypatch.setattr(benchmark, "BLOCK", 2)
    monkeypatch.setattr(benchmark.os, "sched_setaffinity", lambda *_: None)
    monkeypatch.setattr(benchmark.time, "perf_counter", lambda: float(next(clock)))
    calls_ms, _ = benchmark.call_in_turns({"b", "a"}, ["1", "2", "3"])
    assert "".join("".join(call) for call in asked) == "a1a1a2b1b1b2a3a3b3b3"
    assert calls_ms == {"a": [1000.0] * 3, "b": [1000.0] * 3}
