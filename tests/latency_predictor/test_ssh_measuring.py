"""The measuring stage over SSH, with the real agent: a connection that is lost again and again costs no sample."""

import os
import signal
import sys
import threading
import time

import pytest
import yaml
from latency_runs import make_run
from other_pythons import fresh_python

from latency_predictor import connection
from latency_predictor.check import check_device
from latency_predictor.collect import collect
from latency_predictor.devices import load_device
from latency_predictor.measure import Measurer
from latency_predictor.sample import read_samples

SAMPLES, CUTS = 6, 5


def cut_connections(server, path, stop):
    """Kill the server's sessions when another sample is being taken, CUTS times."""
    for count in range(CUTS):
        while not stop.is_set():
            lines = path.read_bytes().count(b"\n") if path.exists() else 0
            if lines > count and server.sessions():
                break
            time.sleep(0.005)
        for process in server.sessions():
            os.kill(process, signal.SIGKILL)


def remote_device(server, python):
    """Path of the file of the device that an SshServer is."""
    device = {"backend": "onnxruntime", "host": "device", "ssh_config": str(server.config), "python": python}
    path = server.folder / "remote.yaml"
    path.write_text(yaml.safe_dump(device))
    return str(path)


@pytest.mark.slow
def test_five_lost_connections_cost_no_sample(ssh_server, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(connection, "PAUSES_S", (0.05,) * 6)
    device = remote_device(ssh_server, sys.executable)
    run = make_run(tmp_path)
    path, stop = run.latency / "remote.jsonl", threading.Event()
    cutting = threading.Thread(target=cut_connections, args=(ssh_server, path, stop))
    cutting.start()
    try:
        collect(run, device, SAMPLES)
    finally:
        stop.set()
        cutting.join()
    samples = read_samples(path, run.config.search_space, Measurer(run, load_device(device)).protocol)
    assert len(path.read_text(encoding="utf-8").splitlines()) == len(samples) == SAMPLES
    assert capsys.readouterr().out.count("trying again") == CUTS


@pytest.mark.slow
def test_a_device_with_two_packages(ssh_server, tmp_path):
    """An old Python where there is one, and nothing of ours."""
    python = fresh_python(tmp_path / "venv", ["numpy", "onnxruntime"])
    device = remote_device(ssh_server, python)
    text, usable = check_device(device)
    assert usable, text
    run = make_run(tmp_path)
    samples = read_samples(collect(run, device, 3), run.config.search_space)
    assert len(samples) == 3
    assert samples[0].environment.torch is None
    assert f"ok       python       {samples[0].environment.python}" in text
