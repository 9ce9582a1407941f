"""What the page of a device is told: its samples, what may have spoilt them, and their predictor."""

from dataclasses import replace

import pytest
from latency_runs import SERIES, made_up_sample, make_run
from search_toys import SPACE, latency

from hat.files import append_json_line
from latency_predictor.fitting.fit import fit_predictor
from latency_predictor.link.devices import load_device
from latency_predictor.report import device_report as report
from latency_predictor.report.device_page import write_page
from latency_predictor.sampling.history import Fit, append_fit, history_path
from latency_predictor.sampling.parts import Parts, parts_path, write_parts
from latency_predictor.sampling.sample import samples_path
from latency_predictor.sampling.selection import planned_architectures


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return make_run(tmp_path)


@pytest.fixture
def shown(monkeypatch):
    """The PageData of the pages written."""
    pages = []

    def keep(path, data):
        pages.append(data)
        write_page(path, data)

    monkeypatch.setattr(report, "write_page", keep)
    return pages


def write(run, change=lambda index, sample: sample, count=25):
    path = samples_path(run, load_device("cpu"))
    for index, architecture in enumerate(planned_architectures(SPACE, 1, count)):
        sample = replace(made_up_sample(run, architecture, latency(architecture)), at_random=index > 2, series=SERIES)
        append_json_line(path, change(index, sample).to_dict())


def test_every_sample_is_shown_in_its_order(run, shown):
    write(run)
    fit_predictor(run, "cpu")
    planned = planned_architectures(SPACE, 1, 25)
    (data,) = shown
    assert data.measured_ms == pytest.approx([latency(architecture) for architecture in planned])
    assert list(data.layers["decoder"]) == [architecture.decoder.layers for architecture in planned]
    assert len(data.predicted_ms) == len(data.upper_ms) == len(data.parameters) == 25
    assert data.stable == (True,) * 25
    assert data.facts["Samples"].startswith("25,")
    assert "25" in (run.latency / "cpu.html").read_text(encoding="utf-8")


def test_what_may_have_spoilt_samples_is_counted(run, shown):
    def change(index, sample):
        sample = replace(sample, stable=index != 4, taken=0.4 * (index in (1, 2)))
        hot = replace(sample.environment, temperature=90.0 + index, governor="performance", throttled=None)
        cool = replace(hot, temperature=40.0)
        sample = replace(sample, environment=hot if index < 3 else cool)
        return replace(sample, reference_ms=sample.reference_ms.scaled(1.3)) if index == 7 else sample

    write(run, change)
    fit_predictor(run, "cpu")
    warnings = shown[0].warnings
    assert len(warnings) == 4
    for start, text in (("3 of 25", "92 degrees"), ("1 of 25", "stable"), ("2 of 25", "more than 5%"), ("1", "pace")):
        assert any(warning.startswith(start) and text in warning for warning in warnings), (start, text, warnings)


def test_where_the_time_goes_and_how_error_fell(run, shown):
    write(run)
    write_parts(
        parts_path(run, load_device("cpu")),
        SERIES,
        [Parts("smallest", {"encode": 1.0, "decode": 2.0}, 0.5, (3,), (3.5,))],
    )
    for samples, error in ((10, 0.2), (20, 0.01), (60, 0.001)):
        append_fit(history_path(run, load_device("cpu")), Fit(samples, "ridge", error, 0.02, 45, SERIES))
    fit_predictor(run, "cpu")
    (data,) = shown
    assert data.parts[0]["output_ms"] == 0.5
    assert [fit["samples"] for fit in data.history] == [10, 20]  # of the samples there are
    assert data.stopped.startswith("20 samples give a cross-validated error of 1.0%")
    assert data.lengths == ()  # one length is no curve
