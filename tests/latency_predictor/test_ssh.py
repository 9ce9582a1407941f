"""Connection over SSH to a real sshd: what befalls the way, the agent and the keys is told or survived."""

import os
import signal
import threading
import time

import pytest
from fake_agents import connect, dozing, ends, lives, measure, ssh_device
from sshd import free_port, make_key

from hat.errors import DeviceError, StorageError
from latency_predictor.link import connection
from latency_predictor.link.connection import Connection

pytestmark = pytest.mark.usefixtures("fake_bench")


def test_measures_over_ssh_and_leaves_nothing(ssh_server):
    with connect(ssh_device(ssh_server, cpus=(0,))) as agent:
        answers = [agent.ask(measure(value)) for value in range(3)]
    assert [answer["echo"] for answer in answers] == [0, 1, 2]
    assert answers[0]["cpus"] == [0]
    assert ends(answers[0]["process"])
    assert not os.path.exists(answers[0]["folder"])


def cut_session(server, _):
    for process in server.sessions():
        os.kill(process, signal.SIGKILL)


def cut_client(_, agent):
    os.kill(agent._channel._process.pid, signal.SIGKILL)


def kill_agent(_, agent):
    os.kill(agent.ready["process"], signal.SIGKILL)


@pytest.mark.parametrize("cut", [cut_session, cut_client, kill_agent])
def test_survives_a_loss_between_requests(ssh_server, cut):
    reports = []
    with connect(ssh_device(ssh_server), reports) as agent:
        before = agent.ask(measure(1))
        cut(ssh_server, agent)
        after = agent.ask(measure(2))
    assert (before["echo"], after["echo"]) == (1, 2)
    assert ends(before["process"])
    assert len(reports) == 1, reports


@pytest.mark.parametrize("cut", [cut_session, cut_client, kill_agent])
def test_survives_a_loss_within_a_request(ssh_server, tmp_path, cut):
    reports, marker = [], tmp_path / "marker"
    with connect(ssh_device(ssh_server), reports) as agent:
        orphan = agent.ready["process"]

        def cut_when_busy():
            while not marker.exists():
                time.sleep(0.01)
            cut(ssh_server, agent)

        thread = threading.Thread(target=cut_when_busy)
        thread.start()
        answer = agent.ask(measure(7, trouble="sleep", marker=str(marker)))
        thread.join()
    assert answer["echo"] == 7
    assert answer["process"] != orphan
    assert ends(orphan)  # at once, not after its time limit
    assert len(reports) == 1, reports


def test_an_agent_behind_a_half_open_connection_ends(ssh_server, monkeypatch):
    """The client is stopped: all stays open, and nothing that the host says comes through."""
    monkeypatch.setattr(connection, "ALIVE_S", 0.1)
    with connect(ssh_device(ssh_server), idle_limit_s=2.0) as agent:
        first = agent.ask(measure(1))
        time.sleep(3.0)
        assert lives(first["process"])
        os.kill(agent._channel._process.pid, signal.SIGSTOP)
        assert ends(first["process"], seconds=20)
        assert not os.path.exists(first["folder"])


def test_five_losses_in_a_row_of_requests(ssh_server):
    reports = []
    with connect(ssh_device(ssh_server), reports) as agent:
        for value in range(5):
            assert agent.ask(measure(value))["echo"] == value
            cut_session(ssh_server, agent)
        assert agent.ask(measure(5))["echo"] == 5
    assert len(reports) == 5, reports


def test_the_server_may_be_away_for_a_while(ssh_server, monkeypatch):
    monkeypatch.setattr("latency_predictor.link.connection.PAUSES_S", (0.3,) * 10)
    reports = []
    with connect(ssh_device(ssh_server), reports) as agent:
        agent.ask(measure(1))
        ssh_server.stop()
        timer = threading.Timer(0.6, ssh_server.start)
        timer.start()
        assert agent.ask(measure(2))["echo"] == 2
        timer.join()
    assert any("no SSH server" in report for report in reports), reports


def test_a_lasting_loss_is_an_error(ssh_server):
    with connect(ssh_device(ssh_server), []) as agent:
        ssh_server.stop()
        with pytest.raises(DeviceError, match=r"'there' \(device\): it is there but has no SSH server"):
            agent.ask(measure(1))


def test_an_agent_that_hangs(ssh_server):
    with connect(ssh_device(ssh_server, sample_timeout_s=0.5), []) as agent:
        orphan = agent.ready["process"]
        with pytest.raises(DeviceError, match="sample_timeout_s: 0.5"):
            agent.ask(measure(1, trouble="sleep"))
        assert ends(orphan)


def test_an_orphan_that_nobody_told_is_ended_by_the_next_agent(ssh_server, tmp_path):
    """A stopped process notices neither the end of its input nor its time limit."""
    with connect(ssh_device(ssh_server, sample_timeout_s=0.5), [], busy_wait_s=0.5) as agent:
        orphan = agent.ready["process"]
        assert agent.ask(measure(1, trouble="stop", marker=str(tmp_path / "marker")))["echo"] == 1
        assert not lives(orphan)


def test_a_full_disk_there(ssh_server):
    with connect(ssh_device(ssh_server)) as agent, pytest.raises(StorageError) as error:
        agent.ask(measure(1, trouble="fill"))
    assert "'there': the disk there is full" in str(error.value)


def test_two_agents_on_one_device(ssh_server, tmp_path):
    device = ssh_device(ssh_server)
    with connect(device) as first, connect(device, busy_wait_s=0.1) as second:
        thread = dozing(first, tmp_path / "marker")
        with pytest.raises(DeviceError, match=rf"process {first.ready['process']}, .*ssh -F \S+ device kill"):
            second.ask(measure(2))
        thread.join()


def test_a_host_key_that_changes_while_measuring_is_not_accepted(ssh_server):
    make_key(ssh_server.folder / "other_key")
    with connect(ssh_device(ssh_server), []) as agent:
        ssh_server.know(ssh_server.folder / "other_key.pub")
        cut_session(ssh_server, agent)
        with pytest.raises(DeviceError, match="not the one known here"):
            agent.ask(measure(1))


def test_the_users_forwardings_and_commands_do_not_interfere(ssh_server):
    with open(ssh_server.config, "a") as handle:
        handle.write(f"    LocalForward {free_port()} 127.0.0.1:1\n    ExitOnForwardFailure yes\n")
        handle.write("    RemoteCommand ls\n    RequestTTY force\n    LogLevel QUIET\n")
    device = ssh_device(ssh_server)
    with Connection(device, {}) as first, Connection(device, {}) as second:
        assert [first.ask(measure(1))["echo"], second.ask(measure(2))["echo"]] == [1, 2]
