"""A task of three phases that nothing outside of it knows: measured, kept, predicted, shown."""

import json

import numpy as np
import pytest
from html_pages import text_of
from latency_runs import make_run

from hat.experiment.run_directory import mark_done
from hat.tasks import TASKS
from hat.tasks.translation import Translation
from latency_predictor.fitting.fit import fit_predictor, read_latencies
from latency_predictor.link import connection
from latency_predictor.link.devices import load_device
from latency_predictor.on_device import bench, workloads
from latency_predictor.on_device.environment import read_environment
from latency_predictor.sampling.collect import collect
from latency_predictor.sampling.parts import parts_path, read_parts
from latency_predictor.sampling.sample import read_samples

SENTENCES = ((2, 4, 6, 8, 10), (3, 3, 3, 3, 3), (1, 5, 9, 13, 17))  # three lengths of each of five


class Poetry(Translation):
    """Reads so many lines, thinks as long as ever, writes so many verses."""

    phases = {"read": "lines", "think": "minutes", "write": "verses"}

    def fixed_lengths(self, config):
        return None

    def prepared(self, directory):
        return None

    def spec(self, config, prepared):
        return self.announced_spec(config)

    def corpus_lengths(self, config, prepared, split):
        return SENTENCES

    def workload(self, spec, latency):
        return {"patience": 5, "rhymes": spec.target_vocabulary}


class MadeUpMachine:
    """Takes the place of a Connection: has a Bench whose clock moves when the work says so."""

    def __init__(self, folder):
        self._folder, self.seconds, self.size = folder, 0.0, 0

    def connect(self, device, setup):
        self.size = _size(setup["reference"])
        self._bench = bench.Bench(self._folder, {"threads": 1, "accelerator": "cpu", **setup})
        self.ready = {"warnings": []}
        return self

    def ask(self, request):
        self.size = _size(request["subject"])
        return {"type": "measured", **self._bench.measure(request), "environment": vars(read_environment())}

    def close(self):
        pass

    def poems(self, sessions, numbers, points, clock):
        assert clock() == self.seconds
        return [self._poem(self.size, numbers, *point) for point in points]

    def _poem(self, size, numbers, lines, minutes, verses):
        def write():
            read, think = 1e-3 * size * lines, 5e-3 * numbers["patience"] * minutes
            self.seconds += read + think + 2e-3 * (size + numbers["rhymes"]) * verses
            return read, think

        return write


def _size(subject):
    """Grows with the architecture."""
    return 1e-5 * sum(map(len, subject["graphs"].values()))


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    machine = MadeUpMachine(tmp_path)
    monkeypatch.setitem(TASKS, "translation", Poetry())
    monkeypatch.setattr(connection, "Connection", machine.connect)
    monkeypatch.setattr(bench, "clock_for", lambda *_: lambda: machine.seconds)
    monkeypatch.setitem(workloads.WORKLOADS, "translation", machine.poems)
    run = make_run(tmp_path)
    run.data.mkdir()
    mark_done(run.data, {}, [])
    return run


def test_from_the_device_to_the_page(run):
    path = collect(run, "cpu")
    for row in map(json.loads, path.read_text(encoding="utf-8").splitlines()):
        assert row["protocol"]["lengths"] == {"read": [2, 6, 10], "think": [3, 3, 3], "write": [1, 9, 17]}
        assert row["protocol"]["workload"] == {"patience": 5, "rhymes": 20}
        for at in row["lengths"]:
            assert list(at["phases_ms"]) == ["read", "think", "write"]
            assert at["phases_ms"]["think"]["p25"] == pytest.approx(75)
            assert sum(timing["p25"] for timing in at["phases_ms"].values()) == pytest.approx(at["total_ms"]["p25"])

    device = load_device("cpu")
    samples = read_samples(path, run.config.search_space)
    for quantile in (0.5, 0.9):  # phases are linear in their lengths, so that each sentence's latency is known
        _, measured_ms, _ = read_latencies(run, device, quantile)
        first = samples[0].lengths[0].phases_ms
        whole = first["read"].p25 * np.divide(SENTENCES[0], 2) + 75 + first["write"].p25 * np.array(SENTENCES[2])
        assert measured_ms[0] == pytest.approx(np.quantile(whole, quantile))
    parts = read_parts(parts_path(run, device), samples[0].series)
    assert [list(each.phases_ms) for each in parts] == [["read", "think", "write"]] * 3
    assert parts[0].lengths == (1, 9, 17)

    predictor = fit_predictor(run, "cpu")
    architectures, measured_ms, _ = read_latencies(run, device)
    np.testing.assert_allclose(predictor.predict(architectures), measured_ms, rtol=0.1)
    page = text_of((run.latency / "cpu.html").read_text(encoding="utf-8"))
    for shown in ("lines / minutes / verses", "2 / 3 / 1, 6 / 3 / 9, 10 / 3 / 17", "patience: 5", *Poetry.phases):
        assert shown in page
