"""The benchmark of the upper bound: fresh architectures, coverage by hand, a run that is interrupted and goes on."""

import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from latency_runs import MadeUpMeasurer, made_up_sample, make_run, write_samples
from search_toys import SPACE, everything, latency

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "benchmarks"))

import bound_coverage as benchmark

from hat import files
from hat.errors import UsageError
from latency_predictor.fitting.fit import load_or_fit
from latency_predictor.sampling.sample import read_samples

SLOW = 1.3  # the pace at which the first visits of every fourth architecture are made


class MadeUp(MadeUpMeasurer):
    """A device whose latencies are off by `off` (index of the measurement: factor)."""

    def __init__(self, run, off=lambda index: 1.0, gone=None):
        super().__init__(run, gone)
        self._off = off

    def sample_of(self, architecture):
        index = len(self.measured)
        slow = architecture not in self.measured and index % 4 == 0
        milliseconds = latency(architecture) * self._off(index)
        return made_up_sample(self._run, architecture, milliseconds, pace=SLOW if slow else 1.0)


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return make_run(tmp_path)


@pytest.fixture
def measure_with(monkeypatch):
    def use(measurer):
        monkeypatch.setattr("latency_predictor.sampling.measure.Measurer", lambda run, device: measurer)
        return measurer

    return use


def test_fresh_ones_are_new_random_and_always_the_same():
    known = set(benchmark.fresh_architectures(SPACE, set(), 20))
    found = benchmark.fresh_architectures(SPACE, known, 60)
    assert len(set(found)) == 60
    assert not known & set(found)
    assert benchmark.fresh_architectures(SPACE, known, 60) == found
    with pytest.raises(UsageError, match="only 3 that were not measured could be found"):
        benchmark.fresh_architectures(SPACE, set(everything()[3:]), 10)


def test_coverage_is_counted_and_has_its_interval(run, measure_with):
    """Two of forty are measured at twice their latency: above any bound. Slow first visits are made up for."""
    write_samples(run, 60)
    measurer = measure_with(MadeUp(run, off=lambda index: 2.0 if index in (5, 11) else 1.0))
    found = benchmark.judge_run(run, "cpu", 40)
    assert len(measurer.measured) == 50  # every fourth of 40 was slow
    assert (found["samples"], found["at_random"]) == (60, 57)
    for row in found["quantiles"].values():  # alike, as all sentences have one length here
        assert (row["below"], row["count"], row["coverage"]) == (38, 40, 0.95)
        assert row["coverage_ci95"] == pytest.approx([0.8308, 0.9939], abs=1e-4)  # Clopper-Pearson, from tables
    predictor = load_or_fit(run, "cpu")
    architectures = list(dict.fromkeys(measurer.measured))
    predicted, upper = predictor.predict(architectures), predictor.upper(architectures)
    measured = np.array([latency(each) * (2.0 if at in (5, 11) else 1.0) for at, each in enumerate(architectures)])
    assert found["quantiles"]["p50"]["mape"] == pytest.approx(np.mean(np.abs(predicted / measured - 1)))
    assert found["quantiles"]["p50"]["margin"] == pytest.approx(np.median(upper / predicted - 1))
    assert "38 of 40 fresh random architectures are below the bound, 95.0% (83.1% to 99.4%)" in benchmark.table(found)


def test_an_interrupted_one_goes_on_and_other_samples_are_told(run, measure_with):
    path = write_samples(run, 60)
    measure_with(MadeUp(run, gone=25))
    with pytest.raises(KeyboardInterrupt):
        benchmark.judge_run(run, "cpu", 40)
    measurer = measure_with(MadeUp(run))
    whole = benchmark.judge_run(run, "cpu", 40)
    fresh = read_samples(run.latency / "fresh" / "cpu.jsonl", SPACE)
    assert len(fresh) == 40
    assert all(sample.at_random for sample in fresh)
    assert len(measurer.measured) < 40
    repeated = measure_with(MadeUp(run))
    assert benchmark.judge_run(run, "cpu", 40) == whole
    assert repeated.measured == []
    others = [replace(sample, series="others") for sample in read_samples(path, SPACE)]
    files.write_text(path, "".join(json.dumps(sample.to_dict()) + "\n" for sample in others))
    with pytest.raises(UsageError, match=r"fresh/cpu\.jsonl was measured beside other samples .*; give --again"):
        benchmark.judge_run(run, "cpu", 40)
    assert benchmark.judge_run(run, "cpu", 40, again=True)["quantiles"]["p50"]["count"] == 40


def test_a_folder_that_is_not_there_is_told_first(run, capsys):
    with pytest.raises(SystemExit) as ended:
        benchmark.main(["--run", str(run.path), "--json", "nowhere/coverage.json"])
    assert ended.value.code == 2
    assert "nowhere/coverage.json: no such folder" in capsys.readouterr().err
