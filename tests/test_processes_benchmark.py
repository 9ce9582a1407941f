"""The benchmark of training in several processes: what is exchanged, against the number of weights."""

import json
import sys
from pathlib import Path

import pytest
from safetensors.numpy import load_file
from tiny_run import make_run

from hat.training.options import TrainingOptions
from hat.training.super import train_super

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "benchmarks"))

import processes as benchmark

SUMS = 1000  # bytes, at most: losses and counts that are logged


def test_two_processes_exchange_every_gradient_once_and_alone_none(tmp_path, capsys):
    run = make_run(tmp_path)
    train_super(run, TrainingOptions(max_update=1))
    weights = load_file(run.super_ / "model.safetensors")
    before = sorted(path.name for path in run.path.rglob("*"))
    file = tmp_path / "rows.json"
    benchmark.main(
        ["--run", str(run.path), "--processes", "1", "2", "--updates", "2", "--rounds", "1", "--json", str(file)]
    )
    one, two = json.loads(file.read_text())
    assert one["bytes_per_update"] == 0
    gradients = sum(weight.nbytes for weight in weights.values())
    assert gradients <= two["bytes_per_update"] < gradients + SUMS
    assert two["apart_updates_per_second"] > 0
    assert sorted(path.name for path in run.path.rglob("*")) == before
    assert capsys.readouterr().out.splitlines()[-1].startswith("| 2 | 2 x 1 x 400 | ")


def test_a_process_that_fails_is_not_waited_for(tmp_path):
    run = make_run(tmp_path)
    environments = [{"WORLD_SIZE": 1}, {"WORLD_SIZE": "no number"}]
    with pytest.raises(SystemExit, match="a process failed, for the reason that it printed"):
        benchmark.measure_in(environments, run.path, run.config.super_training, 2)


def test_a_wrong_path_is_told_in_a_line(tmp_path, capsys):
    with pytest.raises(SystemExit) as end:
        benchmark.main(["--run", str(tmp_path / "nowhere")])
    assert end.value.code == 4
    message = capsys.readouterr().err
    assert message.count("\n") == 1
    assert "nowhere is not a run directory" in message
