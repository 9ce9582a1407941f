"""Latency samples as JSON lines: strict, complete, comparable."""

import dataclasses
import json

import pytest
from latency_runs import made_up_sample, make_run, write_samples
from search_toys import SPACE
from tiny import TINY_SPACE

from hat.errors import ArtifactError, UsageError
from hat.files import append_json_line, read_json_lines
from latency_predictor.sampling.lengths import run_lengths
from latency_predictor.sampling.sample import LatencySample, read_samples


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return make_run(tmp_path)


def test_json_both_ways(run):
    sample = made_up_sample(run, run.config.search_space.largest(), 12.5)
    assert LatencySample.from_dict(json.loads(json.dumps(sample.to_dict()))) == sample
    assert sample.timing(run_lengths(run)).p25 == 12.5


@pytest.mark.parametrize("change", [{"length": 1}, {"lengths": 3.0}, {"device": None}])
def test_reading_is_strict(run, change):
    mapping = made_up_sample(run, run.config.search_space.largest(), 12.5).to_dict() | change
    with pytest.raises(UsageError, match=next(iter(change))):
        LatencySample.from_dict(mapping)


def test_an_unfinished_last_line_is_left_out(run):
    path = write_samples(run, 4)
    path.write_bytes(path.read_bytes()[:-40])
    assert len(read_samples(path, run.config.search_space)) == 3


def test_no_file_holds_no_samples(run):
    assert read_samples(run.latency / "cpu.jsonl", run.config.search_space) == []


def test_the_last_sample_of_an_architecture_counts(run):
    path = write_samples(run, 4)
    again = made_up_sample(run, run.config.search_space.largest(), 99.0)
    append_json_line(path, again.to_dict())
    samples = read_samples(path, run.config.search_space)
    assert len(samples) == 4
    assert again in samples


def test_a_damaged_sample_is_named_by_its_line(run):
    path = write_samples(run, 4)
    rows = read_json_lines(path)
    del rows[2]["protocol"]["workload"]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    with pytest.raises(ArtifactError, match=r"cpu\.jsonl, line 3.*workload"):
        read_samples(path, run.config.search_space)


def test_samples_of_another_space_are_refused(run):
    path = write_samples(run, 4)
    with pytest.raises(ArtifactError, match=r"cpu\.jsonl, line 1.*another search space"):
        read_samples(path, TINY_SPACE)


def test_samples_of_another_protocol_are_refused(run):
    path = write_samples(run, 4)
    known = read_samples(path, run.config.search_space)[0].protocol
    workload = known.workload | {"beam": 7}
    append_json_line(path, made_up_sample(run, SPACE.largest(), 12.5, workload=workload).to_dict())
    with pytest.raises(ArtifactError, match=r"line 5: measured with beam 7 instead of 2"):
        read_samples(path, run.config.search_space)
    with pytest.raises(ArtifactError, match=r"line 1: measured with threads 1 instead of 4"):
        read_samples(path, run.config.search_space, dataclasses.replace(known, threads=4))


def test_samples_of_another_clock_are_refused(run):
    path = write_samples(run, 4)
    append_json_line(path, made_up_sample(run, run.config.search_space.largest(), 12.5, clock="wall").to_dict())
    with pytest.raises(ArtifactError, match=r"line 5: measured with clock wall instead of processor; move the file"):
        read_samples(path, run.config.search_space)


@pytest.mark.parametrize(
    ("device", "clock"),
    [({}, "processor"), ({"threads": 4}, "wall"), ({"accelerator": "cuda"}, "wall")],
)
def test_samples_that_do_not_say_by_which_clock_mean_what_they_meant(run, device, clock):
    sample = made_up_sample(run, run.config.search_space.largest(), 12.5, clock=clock, **device)
    row = sample.to_dict()
    del row["protocol"]["clock"]
    path = run.latency / "old.jsonl"
    append_json_line(path, row)
    assert read_samples(path, run.config.search_space, sample.protocol) == [sample]


def test_samples_of_another_version_are_refused(run):
    """Those of the first version had no version at all."""
    path = write_samples(run, 4)
    rows = read_json_lines(path)
    del rows[1]["protocol"]["version"]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    with pytest.raises(ArtifactError, match=r"line 2: measured with protocol version 1 instead of 2; move the file"):
        read_samples(path, run.config.search_space)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 0.0, -2.0])
def test_times_that_can_not_be_are_refused(run, value):
    path = write_samples(run, 4)
    rows = read_json_lines(path)
    rows[3]["lengths"][0]["phases_ms"]["decode"]["p25"] = value
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    with pytest.raises(ArtifactError, match=r"line 4: .*phases_ms.decode.*remove that line"):
        read_samples(path, run.config.search_space)
