"""hat-measure-latency on a device behind SSH, the connection cut again and again: a complete sample file."""

import os
import signal
import subprocess
import sys
import time

import pytest
import yaml
from latency_runs import make_run

from hat import files
from latency_predictor.sampling.sample import read_samples
from latency_predictor.sampling.selection import planned_architectures

SAMPLES = 12
COMMAND = [sys.executable, "-c", "from hat.cli.measure_latency import main; main()"]


@pytest.fixture
def there(ssh_server, tmp_path, monkeypatch):
    """A run, and a device `there` behind SSH whose Python is this one."""
    monkeypatch.chdir(tmp_path)
    device = {
        "backend": "onnxruntime",
        "host": "device",
        "python": sys.executable,
        "ssh_config": str(ssh_server.config),
    }
    files.write_yaml(tmp_path / "configs" / "devices" / "there.yaml", device)
    return make_run(tmp_path)


def test_a_connection_killed_five_times(there, ssh_server):
    path = there.latency / "there.jsonl"
    arguments = ["--device", "there", "--samples", str(SAMPLES)]
    process = subprocess.Popen([*COMMAND, *arguments], stdout=subprocess.PIPE, text=True)
    for wanted in (1, 3, 5, 7, 9):
        _wait_until(lambda wanted=wanted: len(files.read_json_lines(path)) >= wanted)
        for session in ssh_server.sessions():
            os.kill(session, signal.SIGKILL)
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 0
    assert output.count("trying again in") >= 4  # two of the kills may have met one and the same connection
    rows = files.read_json_lines(path)
    assert len(rows) == SAMPLES
    space = there.config.search_space
    assert [sample.architecture for sample in read_samples(path, space)] == planned_architectures(space, 1, SAMPLES)
    assert {row["device"] for row in rows} == {"there"}


def test_two_devices_at_once(there):
    devices = ["--device", "there", "--device", "cpu"]
    subprocess.run([*COMMAND, *devices, "--samples", "3"], check=True, capture_output=True)
    for name in ("there", "cpu"):
        assert len(files.read_json_lines(there.latency / f"{name}.jsonl")) == 3


def test_the_check_of_a_device_that_is_ready(there):
    done = subprocess.run([*COMMAND, "--device", "there", "--check"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
    for expected in ("there", "python", "numpy", "onnxruntime"):
        assert expected in done.stdout
    assert len(done.stdout.splitlines()) <= 24  # one screen


def test_the_check_of_a_device_that_is_not(there):
    path = there.path.parent / "configs" / "devices" / "there.yaml"
    files.write_yaml(path, yaml.safe_load(path.read_text()) | {"python": "/no/such/python"})
    done = subprocess.run([*COMMAND, "--device", "there", "--check"], capture_output=True, text=True)
    assert done.returncode == 5
    assert "/no/such/python" in done.stdout
    assert "Traceback" not in done.stderr


def _wait_until(condition, seconds=60):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)
