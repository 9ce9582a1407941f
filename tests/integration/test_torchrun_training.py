"""Training under torchrun with the very command that the README and --help name."""

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from sshd import free_port
from tiny_run import make_run

from hat.cli.train_super import main

COMMAND = "torchrun --nproc_per_node {} --no-python -- hat-train-super"
README = Path(__file__).parents[2] / "README.md"
DEADLINE = 300  # seconds: the machine may be busy


def test_the_command_is_the_one_that_is_named(capsys, monkeypatch):
    assert COMMAND.format(8) in README.read_text(encoding="utf-8")
    monkeypatch.setenv("COLUMNS", "1000")
    with pytest.raises(SystemExit):
        main(["--help"])
    assert COMMAND.format("N") in capsys.readouterr().out


def test_two_processes_train_into_the_named_run(tmp_path):
    """With gloo; only one of them writes."""
    make_run(tmp_path, super_training={"max_update": 4, "validate_every": 2})
    scripts = Path(sys.executable).parent
    environment = {**os.environ, "PATH": f"{scripts}{os.pathsep}{os.environ['PATH']}", "OMP_NUM_THREADS": "1"}
    environment["PET_MASTER_PORT"] = str(free_port())  # torchrun's own way to be given options
    command = [*shlex.split(COMMAND.format(2)), "tiny.yaml", "--run", "named", "--device", "cpu"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=DEADLINE)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("next: hat-measure-latency") == 1
    assert (tmp_path / "named" / "super" / "done.json").exists()
    metrics = [json.loads(line) for line in (tmp_path / "named" / "super" / "metrics.jsonl").read_text().splitlines()]
    assert [row["update"] for row in metrics if "valid" in row][-1] == 4
