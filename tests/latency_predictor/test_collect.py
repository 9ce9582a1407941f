"""Collecting: which architectures are measured, and that a kill at any moment changes nothing of it."""

import errno
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import pytest
from latency_runs import REFERENCE_MS, MadeUpMeasurer, made_up_sample, make_run, write_samples
from search_toys import SPACE, latency

from hat import files
from hat.cli import measure_latency
from hat.data.translation.prepared import PreparedData
from hat.errors import ArtifactError, DeviceError
from hat.experiment.run_directory import mark_done
from latency_predictor.fitting.fit import load_or_fit
from latency_predictor.link.devices import load_device
from latency_predictor.sampling.collect import collect, collect_all
from latency_predictor.sampling.history import history_path, read_history
from latency_predictor.sampling.measure import measuring_spec
from latency_predictor.sampling.parts import parts_path, read_parts
from latency_predictor.sampling.sample import read_samples
from latency_predictor.sampling.sample import write_samples as write_samples_again
from latency_predictor.sampling.selection import FIRST, GOOD_ERROR, planned_architectures

COMMAND = [sys.executable, "-c", "from hat.cli.measure_latency import main; main()"]


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return make_run(tmp_path)


def architectures(path):
    return [sample.architecture for sample in read_samples(path, SPACE)]


def test_killed_three_times_then_finished(run):
    path = run.latency / "cpu.jsonl"
    for wanted in (1, 4, 8):
        process = subprocess.Popen([*COMMAND, "--run", str(run.path)], stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 120
        while len(files.read_json_lines(path)) < wanted and time.monotonic() < deadline:
            time.sleep(0.01)
        os.kill(process.pid, signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
    with open(path, "ab") as handle:
        handle.write(b'{"architecture": {"qkv_dim"')  # a line that a power cut left unfinished
    before = files.read_json_lines(path)
    subprocess.run([*COMMAND, "--run", str(run.path)], check=True, capture_output=True)
    rows = files.read_json_lines(path)
    assert len(rows) == 12
    for row, kept in zip(rows, before, strict=False):
        assert row == kept or row["visits"] == 2  # those taken at another pace were measured once more
    assert architectures(path) == planned_architectures(SPACE, run.config.seed, 12)


def test_more_samples_are_added_to_those_there(run, capsys):
    path = write_samples(run, 10)
    before = path.read_bytes()
    collect(run, "cpu", samples=11)
    assert path.read_bytes().startswith(before)
    assert architectures(path) == planned_architectures(SPACE, run.config.seed, 11)
    assert "hat-fit-predictor --device cpu" in capsys.readouterr().out


def test_samples_taken_otherwise_stop_it_before_anything_is_measured(run, tmp_path):
    path = write_samples(run, 5)
    before = path.read_bytes()
    run = make_run(tmp_path, source_length=9)
    with pytest.raises(
        ArtifactError,
        match=r"cpu\.jsonl, line 1: measured with lengths encode 4 and decode 3 instead of encode 9",
    ):
        collect(run, "cpu")
    assert path.read_bytes() == before


class MadeUp(MadeUpMeasurer):
    """A device whose pace differs with every sample."""

    def sample_of(self, architecture):
        pace = 1 + 0.1 * (len(self.measured) % 2 == 0)
        return made_up_sample(self._run, architecture, latency(architecture), pace=pace)

    def measure_paced(self, architecture, spec=None):
        self.measured.append(architecture)
        return made_up_sample(self._run, architecture, latency(architecture) * (0.75 if spec else 1.0))


@pytest.fixture
def measure_with(monkeypatch):
    def replace(measurer):
        monkeypatch.setattr("latency_predictor.sampling.collect.Measurer", lambda run, device: measurer)
        return measurer

    return replace


def test_without_a_number_it_stops_when_the_predictor_is_good(tmp_path, monkeypatch, capsys, measure_with):
    monkeypatch.chdir(tmp_path)
    run = make_run(tmp_path, samples=None)
    measure_with(MadeUp(run))
    path = collect(run, "cpu")
    measured = architectures(path)
    assert FIRST <= len(measured) <= 120
    assert measured[:FIRST] == planned_architectures(SPACE, run.config.seed, FIRST)
    output = capsys.readouterr().out
    assert f"stopped: {len(measured)} samples give a cross-validated error of" in output
    (series,) = {sample.series for sample in read_samples(path, SPACE)}
    history = read_history(history_path(run, load_device("cpu")), series, len(measured))
    assert [fit.samples for fit in history][-1] == len(measured)
    assert history[-1].mape <= GOOD_ERROR
    assert run.last_measured_device() == "cpu"  # what hat-search takes without --device
    again = measure_with(MadeUp(run))
    collect(run, "cpu")
    assert again.measured == []


@pytest.mark.parametrize("gone", [3, FIRST + 4])
def test_interrupted_it_ends_as_it_would_have(tmp_path, monkeypatch, measure_with, gone):
    """The samples and the choice of the next ones depend on what is in the file alone."""
    monkeypatch.chdir(tmp_path)
    found = []
    for interruption in (None, gone):
        folder = tmp_path / str(interruption)
        folder.mkdir()
        run = make_run(folder, samples=None, most_samples=FIRST + 20)
        monkeypatch.setattr(
            "latency_predictor.sampling.collect.stop_reason", lambda history, most: history[-1].samples >= most
        )
        if interruption:
            measure_with(MadeUp(run, interruption))
            with pytest.raises(KeyboardInterrupt):
                collect(run, "cpu")
        measure_with(MadeUp(run))
        found.append(architectures(collect(run, "cpu")))
    assert found[0] == found[1]
    assert len(found[0]) == FIRST + 20


def test_every_sample_says_whether_it_was_drawn_at_random(tmp_path, monkeypatch, measure_with):
    """The extremes and every second one after the first fit were chosen; a second visit changes nothing of that."""
    monkeypatch.chdir(tmp_path)
    run = make_run(tmp_path, samples=None, most_samples=FIRST + 20)
    monkeypatch.setattr(
        "latency_predictor.sampling.collect.stop_reason", lambda history, most: history[-1].samples >= most
    )
    measurer = measure_with(MadeUp(run))
    path = collect(run, "cpu")
    samples = read_samples(path, SPACE)
    at_random = [sample.at_random for sample in samples]
    assert at_random == [False] * 3 + [True] * (FIRST - 3) + [False, True] * 10
    history = read_history(history_path(run, load_device("cpu")), samples[0].series, FIRST + 20)
    assert [fit.at_random for fit in history] == [FIRST - 3, FIRST + 2, FIRST + 7]
    slow = [sample.scaled(1) for sample in samples]
    for index in (0, 7):
        slow[index] = replace(slow[index], reference_ms=slow[index].reference_ms.scaled(1.5))
    write_samples_again(path, slow)
    count = len(measurer.measured)
    collect(run, "cpu")
    assert measurer.measured[count:] == [samples[0].architecture, samples[7].architecture]
    assert [sample.at_random for sample in read_samples(path, SPACE)] == at_random


def test_an_earlier_version_that_drew_fewer_at_random_is_made_up_for(tmp_path, monkeypatch, capsys, measure_with):
    """Of its 40 planned samples and 20 later ones, 37 count as random; the plan's next ten are drawn first."""
    monkeypatch.chdir(tmp_path)
    run = make_run(tmp_path, samples=None, most_samples=60)
    planned = planned_architectures(SPACE, run.config.seed, 90)
    old = [*planned[:40], *planned[70:90]]
    path = run.latency / "cpu.jsonl"
    for architecture in old:
        row = made_up_sample(run, architecture, latency(architecture)).to_dict()
        files.append_json_line(path, {key: row[key] for key in row if key not in ("at_random", "series")})
    assert len(load_or_fit(run, "cpu").out_of_fold) == 60  # read as it is, too
    assert "the largest error of 37 samples drawn at random, where 45 are needed" in capsys.readouterr().out
    measurer = measure_with(MadeUp(run))
    collect(run, "cpu")
    assert "37 of 60 are known to be, the others count as chosen" in capsys.readouterr().out
    samples = read_samples(path, SPACE)
    assert [sample.architecture for sample in samples] == [*old, *planned[40:FIRST]]
    assert [sample.at_random for sample in samples] == [False] * 3 + [True] * 37 + [False] * 20 + [True] * 10
    assert measurer.measured[:10] == planned[40:FIRST]
    capsys.readouterr()
    collect(run, "cpu")
    assert "earlier version" not in capsys.readouterr().out


@pytest.mark.parametrize("most", [10, 30])
def test_few_samples_at_the_most_are_fitted_as_they_are(tmp_path, monkeypatch, capsys, measure_with, most):
    monkeypatch.chdir(tmp_path)
    run = make_run(tmp_path, samples=None, most_samples=most)
    measure_with(MadeUp(run))
    assert architectures(collect(run, "cpu")) == planned_architectures(SPACE, run.config.seed, most)
    assert f"stopped: latency.most_samples, {most}, are measured" in capsys.readouterr().out


@pytest.mark.parametrize(("second_pace", "kept"), [(1.05, 1.05), (1.9, 1.5)])
def test_what_was_measured_at_another_pace_is_measured_once_more(run, measure_with, second_pace, kept):
    measurer = MadeUp(run)
    slow = planned_architectures(SPACE, run.config.seed, 12)[5]
    paces = iter([1.5, second_pace])

    def measure(architecture):
        measurer.measured.append(architecture)
        pace = next(paces) if architecture == slow else 1.0
        return made_up_sample(run, architecture, latency(architecture), pace=pace)

    measurer.measure = measure
    measure_with(measurer)
    path = collect(run, "cpu")
    samples = read_samples(path, SPACE)
    assert len(files.read_json_lines(path)) == len(samples) == 12
    assert [sample.visits for sample in samples] == [2 if sample.architecture == slow else 1 for sample in samples]
    assert samples[5].reference_ms.p25 == pytest.approx(kept * REFERENCE_MS)
    count = len(measurer.measured)
    collect(run, "cpu")
    assert len(measurer.measured) == count  # a device that has become slower for good isn't measured for ever


def test_a_median_that_second_visits_move_leaves_nothing_to_the_next_call(run, measure_with):
    """1.25 is near the median pace of 1.1, but not near that of 1.0 which is left of it."""
    measurer, planned = MadeUp(run), planned_architectures(SPACE, run.config.seed, 12)
    first_paces = dict(zip(planned, [1.0] * 3 + [1.1] * 4 + [1.25] + [1.6] * 4, strict=True))

    def measure(architecture):
        measurer.measured.append(architecture)
        return made_up_sample(run, architecture, latency(architecture), pace=first_paces.pop(architecture, 1.0))

    measurer.measure = measure
    measure_with(measurer)
    samples = read_samples(collect(run, "cpu"), SPACE)
    assert [sample.visits for sample in samples] == [1] * 7 + [2] * 5
    assert measurer.measured[:17] == [*planned, *planned[8:], planned[7]]
    count = len(measurer.measured)
    collect(run, "cpu")
    assert len(measurer.measured) == count


def test_where_the_time_goes_is_measured_once(run, measure_with):
    measurer = measure_with(MadeUp(run))
    path = collect(run, "cpu")
    parts = read_parts(parts_path(run, load_device("cpu")), read_samples(path, SPACE)[0].series)
    assert [each.name for each in parts] == ["smallest", "reference", "full-size"]
    full_ms = latency(SPACE.full_transformer())
    shares = [0.2 * full_ms, 0.8 * 0.75 * full_ms, 0.8 * 0.25 * full_ms]
    np.testing.assert_allclose([*parts[2].phases_ms.values(), parts[2].output_ms], shares)
    count = len(measurer.measured)
    collect(run, "cpu")
    assert len(measurer.measured) == count


class Slow(MadeUp):
    """A device ten times slower than `MadeUp`, whose samples are off by 3 % at random."""

    def sample_of(self, architecture):
        noise = np.random.default_rng(len(self.measured)).standard_normal()
        return made_up_sample(self._run, architecture, 10 * latency(architecture) * np.exp(0.03 * noise))

    def measure_paced(self, architecture, spec=None):
        return made_up_sample(self._run, architecture, 10 * latency(architecture))


def test_nothing_is_left_of_samples_that_were_moved_away(tmp_path, monkeypatch, capsys, measure_with):
    """Another device is measured under the same name: neither the fits nor the parts of the former count."""
    monkeypatch.chdir(tmp_path)
    run, device = make_run(tmp_path, samples=None, most_samples=FIRST + 10), load_device("cpu")
    measure_with(MadeUp(run))
    path = collect(run, "cpu")
    (before,) = {sample.series for sample in read_samples(path, SPACE)}
    path.rename(tmp_path / "away.jsonl")
    capsys.readouterr()
    slow = measure_with(Slow(run))
    collect(run, "cpu")
    assert len(slow.measured) == FIRST + 10
    (series,) = {sample.series for sample in read_samples(path, SPACE)}
    history = read_history(history_path(run, device), series, FIRST + 10)
    assert [fit.samples for fit in history] == [FIRST, FIRST + 10]
    assert min(fit.mape for fit in history) > 0.01
    assert f"error of {history[-1].mape:.1%}" in capsys.readouterr().out
    parts = read_parts(parts_path(run, device), series)
    assert parts[2].total_ms == pytest.approx([10 * latency(SPACE.full_transformer())])
    assert read_parts(parts_path(run, device), before) == []
    (tmp_path / "away.jsonl").rename(path)
    assert read_history(history_path(run, device), before, FIRST)[-1].mape < 0.01  # they are back


def test_samples_of_an_earlier_version_become_a_series_and_its_history_does_not_count(run, measure_with):
    path, device = write_samples(run, 12), load_device("cpu")
    rows = [{key: value for key, value in row.items() if key != "series"} for row in files.read_json_lines(path)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    files.append_json_line(history_path(run, device), {"samples": 12, "model": "ridge", "mape": 0.0, "margin": 0.0})
    files.write_json(parts_path(run, device), [])
    measurer = measure_with(MadeUp(run))
    collect(run, "cpu")
    (series,) = {sample.series for sample in read_samples(path, SPACE)}
    assert [row | {"series": None} for row in files.read_json_lines(path)] == [row | {"series": None} for row in rows]
    assert read_history(history_path(run, device), series, 12) == []
    assert len(read_parts(parts_path(run, device), series)) == 3
    count = len(measurer.measured)
    collect(run, "cpu")
    assert len(measurer.measured) == count


def test_unstable_samples_are_told(run, measure_with, capsys):
    measurer = MadeUp(run)
    steady = measurer.measure
    measurer.measure = lambda *arguments, **named: replace(steady(*arguments, **named), stable=False)
    measure_with(measurer)
    collect(run, "cpu")
    assert "warning: 12 of 12 samples did not become stable" in capsys.readouterr().out


def test_one_device_that_fails_does_not_stop_the_others(run, measure_with, monkeypatch, capsys):
    done = []

    def fail_on_rpi4(run, name, samples):
        if name == "rpi4":
            raise DeviceError("no way there")
        done.append(name)

    monkeypatch.setattr("latency_predictor.sampling.collect.collect", fail_on_rpi4)
    with pytest.raises(DeviceError, match="no way there"):
        collect_all(run, ["rpi4", "cpu", "rpi5", "cpu"])
    assert done == ["rpi5", "cpu"]  # remote ones first; here one at a time, when the others are done
    assert "rpi4: no way there" in capsys.readouterr().out


@pytest.mark.parametrize("devices", [["rpi4"], ["rpi4", "cpu"]])
def test_a_full_disk_here_ends_the_measuring_of_a_device_elsewhere(run, monkeypatch, capsys, devices):
    def fill_up(run, name, samples):
        if name == "rpi4":
            raise OSError(errno.ENOSPC, "No space left on device", "latency/rpi4.jsonl")

    monkeypatch.setattr("latency_predictor.sampling.collect.collect", fill_up)
    options = [f"--device={name}" for name in devices]
    with pytest.raises(SystemExit) as end:
        measure_latency.main(options)
    assert end.value.code == 7
    (line,) = capsys.readouterr().err.splitlines()
    assert "error: latency/rpi4.jsonl: the disk is full; free some space and run again" in line


def test_the_vocabulary_is_that_of_the_prepared_data_else_that_of_the_config(run):
    assert measuring_spec(run).source_vocabulary == 20
    description = {
        "corpus": "files",
        "source_lang": "de",
        "target_lang": "en",
        "source_vocabulary": 31,
        "target_vocabulary": 32,
        "sentences": {},
    }
    files.write_json(run.data / "data.json", description)
    mark_done(run.data, {}, [])
    assert PreparedData(run.data).source_vocabulary == 31
    assert (measuring_spec(run).source_vocabulary, measuring_spec(run).target_vocabulary) == (31, 32)
