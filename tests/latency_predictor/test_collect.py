"""Collecting: which architectures are measured, and that a kill at any moment changes nothing of it."""

import os
import signal
import subprocess
import sys
import time

import pytest
from latency_runs import make_run, write_samples
from search_toys import SPACE

from hat import files
from hat.data.prepared import PreparedData
from hat.errors import ArtifactError
from hat.run_directory import mark_done
from hat.search_space import DecoderSpace, EncoderSpace, SearchSpace
from latency_predictor.collect import collect, planned_architectures
from latency_predictor.measure import measuring_spec
from latency_predictor.sample import read_samples

COMMAND = [sys.executable, "-c", "from hat.cli.measure_latency import main; main()"]


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return make_run(tmp_path)


def architectures(path):
    return [sample.architecture for sample in read_samples(path, SPACE)]


def test_the_extremes_come_first_and_all_are_distinct():
    planned = planned_architectures(SPACE, seed=4, count=40)
    assert planned[:3] == [SPACE.smallest(), SPACE.largest(), SPACE.full_transformer()]
    assert len(set(planned)) == len(planned) == 40


def test_the_plan_depends_on_the_seed_and_grows_at_its_end():
    planned = planned_architectures(SPACE, seed=4, count=40)
    assert planned_architectures(SPACE, seed=4, count=25) == planned[:25]
    assert planned_architectures(SPACE, seed=5, count=40) != planned


def test_a_small_space_is_used_up():
    small = SearchSpace(
        qkv_dim=8,
        encoder=EncoderSpace(embed_dim=(8, 16), layers=(1,), ffn_dim=(16,), self_attention_heads=(2,)),
        decoder=DecoderSpace((8, 16), (1,), (16, 32), (2,), (2,), (1,)),
    )
    assert small.size() == 8
    assert len(planned_architectures(small, seed=1, count=100)) == 8


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
    assert rows[: len(before)] == before
    assert len(rows) == 12
    assert architectures(path) == planned_architectures(SPACE, run.config.seed, 12)


def test_more_samples_are_added_to_those_there(run, capsys):
    path = write_samples(run, 10)
    before = path.read_bytes()
    collect(run, "cpu", samples=11)
    assert path.read_bytes().startswith(before)
    assert architectures(path) == planned_architectures(SPACE, run.config.seed, 11)
    assert "hat-fit-predictor --device cpu" in capsys.readouterr().out


def test_nothing_is_left_to_do_for_copied_samples_of_a_remote_device(run):
    path = write_samples(run, 12).rename(run.latency / "rpi4.jsonl")
    assert collect(run, "rpi4") == path


def test_samples_taken_otherwise_stop_it_before_anything_is_measured(run, tmp_path):
    path = write_samples(run, 5)
    before = path.read_bytes()
    run = make_run(tmp_path, source_length=9)
    with pytest.raises(ArtifactError, match=r"cpu\.jsonl, line 1: measured with source_length 4 instead of 9"):
        collect(run, "cpu")
    assert path.read_bytes() == before


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
    mark_done(run.data, {})
    assert PreparedData(run.data).source_vocabulary == 31
    assert (measuring_spec(run).source_vocabulary, measuring_spec(run).target_vocabulary) == (31, 32)
