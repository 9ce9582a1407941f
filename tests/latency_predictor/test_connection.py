"""Connection to an agent in a process of this machine: what befalls it is told or survived."""

import os
import signal
import subprocess
import sys
import time

import pytest
from fake_agents import connect, dozing, ends, lives, local_device, measure

from hat.errors import DeviceError, StorageError
from latency_predictor.link import connection
from latency_predictor.link.connection import Connection
from latency_predictor.on_device.workplace import MEMORY_FOLDER

pytestmark = pytest.mark.usefixtures("fake_bench")


def test_answers_come_through_whatever_libraries_print(monkeypatch):
    monkeypatch.setenv("OF_THE_USER", "kept")
    cpus = sorted(os.sched_getaffinity(0))[:2]
    with connect(local_device(threads=len(cpus), cpus=tuple(cpus))) as agent:
        assert agent.ready["type"] == "ready"
        assert agent.ready["environment"]["cores"] == os.cpu_count()
        answers = [agent.ask(measure(value)) for value in range(3)]
    assert [answer["echo"] for answer in answers] == [0, 1, 2]
    assert answers[0]["environment"]["time"] <= answers[2]["environment"]["time"]
    assert answers[0]["user"] == "kept"
    assert answers[0]["threads"]["OMP_NUM_THREADS"] == str(len(cpus))
    assert answers[0]["cpus"] == cpus


def test_is_pinned_to_as_many_cpus_as_threads():
    with connect(local_device()) as agent:
        assert len(agent.ready["cpus"]) == 1
        assert agent.ask(measure(1))["cpus"] == agent.ready["cpus"]
    with connect(local_device(cpus=(0,))) as agent:
        assert agent.ask(measure(1))["cpus"] == [0]
    with pytest.raises(DeviceError, match=r"'here': cpus: 4096 can't be used there, only 0"):
        connect(local_device(cpus=(0, 4096)))


def test_nothing_is_left_behind():
    with connect(local_device()) as agent:
        answer = agent.ask(measure(1))
        assert os.path.exists(answer["folder"])
    assert not lives(answer["process"])
    assert not os.path.exists(answer["folder"])


@pytest.mark.parametrize("trouble", ["die", "sleep", "stop"])
def test_an_agent_that_fails_once_is_replaced(tmp_path, trouble):
    reports = []
    with connect(local_device(sample_timeout_s=0.5), reports, busy_wait_s=1.0) as agent:
        first = agent.ask(measure(1))
        second = agent.ask(measure(2, trouble=trouble, marker=str(tmp_path / "marker")))
        assert second["echo"] == 2
        assert second["process"] != first["process"]
        assert not os.path.exists(first["folder"])  # a dead agent's is removed by the next one
        assert ends(first["process"])
    assert len(reports) == 1
    told = {"die": "killed by SIGKILL", "sleep": "sample_timeout_s: 0.5", "stop": "sample_timeout_s: 0.5"}
    assert reports[0].startswith("here: ")
    assert told[trouble] in reports[0]


def test_an_agent_killed_between_requests_is_replaced():
    reports = []
    with connect(local_device(), reports) as agent:
        os.kill(agent.ready["process"], signal.SIGKILL)
        assert agent.ask(measure(5))["echo"] == 5
    assert len(reports) == 1


def test_an_agent_whose_host_falls_silent_ends_by_itself(monkeypatch):
    """As on a half-open network: its input stays open, but nothing comes."""
    monkeypatch.setattr(connection, "ALIVE_S", 1000.0)
    reports = []
    with connect(local_device(), reports, idle_limit_s=1.0) as agent:
        first = agent.ask(measure(1))
        assert ends(first["process"], seconds=20)
        assert not os.path.exists(first["folder"])
        assert agent.ask(measure(2))["process"] != first["process"]
    assert len(reports) == 1


def test_an_idle_agent_lives_as_long_as_its_host_holds_the_connection(monkeypatch):
    monkeypatch.setattr(connection, "ALIVE_S", 0.1)
    with connect(local_device(), idle_limit_s=2.0) as agent:
        first = agent.ask(measure(1))
        time.sleep(3.0)
        assert agent.ask(measure(2))["process"] == first["process"]
    assert ends(first["process"])


def test_an_agent_that_is_killed_again_and_again_is_an_error():
    reports = []
    with connect(local_device(), reports) as agent:
        with pytest.raises(DeviceError, match=r"'here': the agent was killed by SIGKILL; memory may be short"):
            agent.ask(measure(1, trouble="die"))
        assert len(reports) == len(connection.PAUSES_S)
        assert agent.ask(measure(2))["echo"] == 2


def test_an_agent_that_hangs_again_is_an_error():
    reports = []
    start = time.monotonic()
    with connect(local_device(sample_timeout_s=0.3), reports) as agent, pytest.raises(DeviceError) as error:
        agent.ask(measure(1, trouble="sleep"))
    assert "no answer within sample_timeout_s: 0.3" in str(error.value)
    assert len(reports) == connection.HANGS - 1
    assert time.monotonic() - start < 10


def test_a_full_disk_there():
    with connect(local_device()) as agent:
        with pytest.raises(StorageError, match=r"'here': the disk there is full .*weights.*free some space"):
            agent.ask(measure(1, trouble="fill"))
        assert agent.ask(measure(2))["echo"] == 2


def test_a_failure_of_our_own_is_told_as_one():
    with connect(local_device()) as agent, pytest.raises(DeviceError) as error:
        agent.ask(measure(1, trouble="err"))
    assert "the agent failed (KeyError: 'key', at agent:latency_predictor.on_device.bench:" in str(error.value)


def test_two_agents_measure_one_after_the_other(tmp_path):
    with connect(local_device()) as first, connect(local_device()) as second:
        ask = dozing(first, tmp_path / "marker")
        start = time.monotonic()
        assert second.ask(measure(2))["echo"] == 2
        assert time.monotonic() - start > 0.3
        ask.join()


def test_a_busy_device_names_the_process(tmp_path):
    with connect(local_device()) as first, connect(local_device(), busy_wait_s=0.1) as second:
        ask = dozing(first, tmp_path / "marker")
        with pytest.raises(DeviceError, match=rf"process {first.ready['process']}, is measuring there; wait for it"):
            second.ask(measure(2))
        ask.join()


def test_cool_down_comes_before_a_sample():
    with connect(local_device(cool_down_s=0.4, sample_timeout_s=0.3)) as agent:
        start = time.monotonic()
        agent.ask(measure(1))
        assert time.monotonic() - start >= 0.4


HOST = """
import sys
sys.path.insert(0, {tests!r})
from latency_predictor.link import connection
connection.agent_source = lambda: open({source!r}).read()
from fake_agents import connect, local_device, measure
with connect(local_device()) as agent:
    print(agent.ready["process"], flush=True)
    agent.ask(measure(1, trouble="sleep"))
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_the_agent_ends_with_its_host(tmp_path, fake_bench, number):
    source = tmp_path / "agent.py"
    source.write_text(fake_bench)
    script = HOST.format(tests=os.path.dirname(os.path.dirname(__file__)), source=str(source))
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as host:
        process = int(host.stdout.readline())
        time.sleep(0.2)
        host.send_signal(number)
    assert ends(process)
    folders = [folder for base in (MEMORY_FOLDER, tmp_path) for folder in base.glob(f"hat-agent-*-{process}-*")]
    assert folders == []


def test_an_answer_larger_than_a_pipe_holds():
    with Connection(local_device(), {}) as agent:
        text = "x" * (1 << 20)
        assert agent.ask(measure(text))["echo"] == text
