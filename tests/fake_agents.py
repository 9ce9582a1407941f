"""The real agent with a bench in it that does what tests ask for, and devices that it runs on."""

import os
import sys
import threading
import time

import pytest

from latency_predictor.link import agent_file, channel, connection
from latency_predictor.link.devices import Device
from latency_predictor.on_device.environment import Environment

# `marker` is a file: trouble happens while it is absent, so once.
BENCH = """
import errno, os, pathlib, signal, time

class Bench:
    def __init__(self, folder, setup):
        self.folder = pathlib.Path(folder)
        (self.folder / "weights").write_bytes(bytes(1000))
        print("a library says hello")
        os.write(1, b'{"type": "nonsense"}')

    def measure(self, request):
        marker = pathlib.Path(request.get("marker", "/nowhere/at/all"))
        if not marker.exists():
            if marker.parent.exists():
                marker.touch()
            getattr(self, request.get("trouble", "none"))()
        threads = {name: value for name, value in os.environ.items() if name.endswith("_NUM_THREADS")}
        cpus = sorted(os.sched_getaffinity(0))
        about = {"process": os.getpid(), "folder": str(self.folder), "threads": threads, "cpus": cpus}
        return {"echo": request["value"], **about, "user": os.environ.get("OF_THE_USER")}

    def none(self):
        pass

    def die(self):
        os.kill(os.getpid(), signal.SIGKILL)

    def stop(self):
        os.kill(os.getpid(), signal.SIGSTOP)

    def sleep(self):
        time.sleep(60)

    def doze(self):
        time.sleep(0.5)

    def fill(self):
        raise OSError(errno.ENOSPC, "No space left on device", str(self.folder / "weights"))

    def err(self):
        return {}["key"]
"""

# The circumstances of a device on which all is well.
QUIET = Environment(
    time="2026-01-01T00:00:00+00:00",
    machine="Linux",
    cpu="a CPU",
    cores=4,
    gpu=None,
    governor="performance",
    frequency=1500.0,
    temperature=50.0,
    throttled=(),
    load=0.2,
    python="3.9.2",
    numpy="1.19.5",
    onnxruntime="1.16.0",
    torch=None,
)


@pytest.fixture
def fake_bench(monkeypatch, tmp_path):
    """Connections of this process start agents with the fake bench, soon try again, and have locks of their own."""
    return start_agents_with(BENCH, monkeypatch, tmp_path)


def start_agents_with(bench, monkeypatch, tmp_path):
    """The same with another bench's source; returns the agent's."""
    replaced = f"SOURCES['latency_predictor.on_device.bench'] = {bench!r}\n{agent_file.FOOTER}"
    source = agent_file.agent_source().replace(agent_file.FOOTER, replaced)
    monkeypatch.setattr(connection, "agent_source", lambda: source)
    monkeypatch.setattr(connection, "PAUSES_S", (0.01, 0.01, 0.01))
    monkeypatch.setattr(connection, "GRACE_S", 0.5)
    monkeypatch.setattr(channel, "END_S", 0.5)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    return source


def local_device(**values):
    return Device(name="here", backend="onnxruntime", **values)


def ssh_device(server, **values):
    """The device that an SshServer is."""
    values = {"python": sys.executable, **values}
    return Device(name="there", backend="onnxruntime", host="device", ssh_config=str(server.config), **values)


def connect(device, reports=None, **setup):
    """A Connection; `reports` collects what it reports, without which there must be nothing."""
    report = reports.append if reports is not None else pytest.fail
    return connection.Connection(device, {"busy_wait_s": 10.0, **setup}, report)


def measure(value, **options):
    return {"type": "measure", "value": value, **options}


def lives(process):
    """Whether there is a process of that number that isn't a zombie."""
    try:
        with open(f"/proc/{process}/stat") as handle:
            return handle.read().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):  # the latter where it ends between open and read
        return False


def ends(process, seconds=5.0):
    """Whether a process ends within some seconds."""
    deadline = time.monotonic() + seconds
    while lives(process) and time.monotonic() < deadline:
        time.sleep(0.01)
    return not lives(process)


def write_script(path, text):
    path.write_text(f"#!/bin/sh\n{text}\n")
    os.chmod(path, 0o755)
    return str(path)


def dozing(agent, marker):
    """A thread in which the agent measures for half a second; returns once it does."""
    ask = threading.Thread(target=agent.ask, args=(measure(1, trouble="doze", marker=str(marker)),))
    ask.start()
    while not marker.exists():
        time.sleep(0.005)
    return ask
