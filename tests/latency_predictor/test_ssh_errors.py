"""Hosts, keys and Pythons that can't be used over SSH: told at once, in one line with the remedy."""

import socket
import sys
import time

import pytest
from fake_agents import connect, measure, ssh_device, write_script
from sshd import make_key

from hat.errors import DeviceError
from latency_predictor.link.ssh import start_command

pytestmark = pytest.mark.usefixtures("fake_bench")


def failing(server, **values):
    """The message of the error with which connecting fails, at once and without trying again."""
    start = time.monotonic()
    with pytest.raises(DeviceError) as error:
        connect(ssh_device(server, **values))
    assert time.monotonic() - start < 15
    assert "\n" not in str(error.value)
    return str(error.value)


def test_an_unknown_host_key(ssh_server):
    (ssh_server.folder / "known_hosts").unlink()
    message = failing(ssh_server)
    assert "its host key is not known here; run `ssh -F" in message
    assert not (ssh_server.folder / "known_hosts").exists()


def test_another_host_key_than_the_known_one(ssh_server):
    make_key(ssh_server.folder / "other_key")
    ssh_server.know(ssh_server.folder / "other_key.pub")
    message = failing(ssh_server)
    assert "its host key is not the one known here" in message
    assert message.index("compare the key") < message.index("ssh-keygen ")
    assert f"[127.0.0.1]:{ssh_server.port}" in message


def test_a_key_that_is_not_accepted(ssh_server):
    for name in ("user_key", "user_key.pub"):
        (ssh_server.folder / name).unlink()
    make_key(ssh_server.folder / "user_key")
    assert "it accepts none of your keys; run `ssh-copy-id" in failing(ssh_server)


def test_no_server_on_the_port(ssh_server):
    ssh_server.stop()
    assert "it is there but has no SSH server on that port" in failing(ssh_server)


def test_a_host_that_does_not_answer(ssh_server):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        config = ssh_server.config.read_text().replace(f"Port {ssh_server.port}", f"Port {silent.getsockname()[1]}")
        ssh_server.config.write_text(config)
        assert "can't be reached" in failing(ssh_server, connect_timeout_s=1.0)


def test_an_unknown_host(ssh_server):
    ssh_server.config.write_text(ssh_server.config.read_text().replace("127.0.0.1", "nowhere.invalid"))
    assert "no host of that name is known" in failing(ssh_server)


def test_a_missing_configuration(ssh_server):
    ssh_server.config.unlink()
    assert "ssh_config can't be used" in failing(ssh_server)


def test_no_ssh_client(ssh_server, monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    assert "install it: sudo apt install openssh-client" in failing(ssh_server)


def test_no_python_there(ssh_server, tmp_path):
    assert "'/no/such/python' can't be run there" in failing(ssh_server, python="/no/such/python")
    (tmp_path / "text").write_text("no program")
    assert "can't be run there" in failing(ssh_server, python=str(tmp_path / "text"))


OLD = """
import sys
code = sys.argv[3]
class Version(tuple):
    major, minor, micro = 3, 7, 3
sys.version_info = Version((3, 7, 3, "final", 0))
exec(code)
"""


def test_an_old_python_there(ssh_server, tmp_path):
    (tmp_path / "old.py").write_text(OLD)
    python = write_script(tmp_path / "python", f'exec {sys.executable} {tmp_path}/old.py "$@"')
    message = failing(ssh_server, python=python)
    assert "is Python 3.7.3, and 3.9 is the oldest that will do" in message


def test_missing_packages_there(ssh_server, tmp_path):
    bare = write_script(tmp_path / "bare", f'exec {sys.executable} -S "$@"')
    message = failing(ssh_server, python=bare)
    assert "lacks numpy and onnxruntime: ssh -F" in message
    assert message.endswith(f"device {bare} -m pip install --upgrade numpy onnxruntime")


def test_a_login_that_talks(ssh_server, tmp_path):
    python = write_script(tmp_path / "talking", f'echo "Welcome!"; echo "[1]"; exec {sys.executable} "$@"')
    with connect(ssh_device(ssh_server, python=python)) as agent:
        assert agent.ask(measure(4))["echo"] == 4


def test_a_python_in_the_home_directory(ssh_server):
    """ssh starts there; a quoted tilde would mean nothing."""
    command = start_command(ssh_device(ssh_server, python="~/my venv/bin/python"), "pass")
    assert command[-1] == "'my venv/bin/python' -u -c pass"
