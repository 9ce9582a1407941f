"""A real SSH server for tests: OpenSSH's sshd on a free loopback port, with keys of its own, as the current user."""

import contextlib
import getpass
import os
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

import pytest

SSHD = shutil.which("sshd", path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin")
SERVER_CONFIG = """
ListenAddress 127.0.0.1
Port {port}
HostKey {folder}/host_key
AuthorizedKeysFile {folder}/authorized_keys
PidFile {folder}/sshd.pid
UsePAM no
StrictModes no
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
MaxStartups 100
SetEnv TMPDIR={folder}
"""
CLIENT_CONFIG = """
Host device
    HostName 127.0.0.1
    Port {port}
    User {user}
    IdentityFile {folder}/user_key
    IdentitiesOnly yes
    UserKnownHostsFile {folder}/known_hosts
    GlobalKnownHostsFile /dev/null
"""


class SshServer:
    """A running sshd; `config` is the client's configuration, in which it is the host `device`."""

    def __init__(self, folder):
        self.folder, self.port = Path(folder), free_port()
        self._process = None
        self.config = self.folder / "ssh_config"
        for key in ("host_key", "user_key"):
            make_key(self.folder / key)
        shutil.copy(self.folder / "user_key.pub", self.folder / "authorized_keys")
        self.know(self.folder / "host_key.pub")
        values = {"port": self.port, "folder": self.folder, "user": getpass.getuser()}
        (self.folder / "sshd_config").write_text(SERVER_CONFIG.format(**values))
        self.config.write_text(CLIENT_CONFIG.format(**values))

    def know(self, public_key):
        """Let the client expect the host to have this key."""
        text = Path(public_key).read_text()
        (self.folder / "known_hosts").write_text(f"[127.0.0.1]:{self.port} {text}")

    def start(self):
        """Run the server; returns when it accepts connections."""
        with contextlib.suppress(PermissionError):  # only root's server needs it, on Debian
            Path("/run/sshd").mkdir(exist_ok=True)
        log = open(self.folder / "sshd.log", "ab")  # noqa: SIM115
        self._process = subprocess.Popen([SSHD, "-D", "-e", "-f", self.folder / "sshd_config"], stderr=log)
        for _ in range(100):
            with socket.socket() as client:
                if client.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.05)
        raise RuntimeError((self.folder / "sshd.log").read_text())

    def stop(self):
        """End the server and its sessions."""
        if self._process:
            for process in self.sessions():
                with contextlib.suppress(ProcessLookupError):  # it ended meanwhile
                    os.kill(process, signal.SIGKILL)
            self._process.kill()
            self._process.wait()
            self._process = None

    def sessions(self):
        """Processes of the server's sessions, those that hold connections."""
        return children(self._process.pid)


@pytest.fixture
def ssh_server(tmp_path):
    """A running SshServer; see `need_sshd` for where there is no sshd."""
    need_sshd()
    server = SshServer(tmp_path)
    server.start()
    yield server
    server.stop()


def need_sshd():
    """Skip the test where OpenSSH isn't installed, or fail it where HAT_TESTS_NEED_SSHD is set."""
    if SSHD is None or shutil.which("ssh") is None:
        reason = "needs OpenSSH's sshd: apt-get install openssh-server"
        pytest.fail(reason) if os.environ.get("HAT_TESTS_NEED_SSHD") else pytest.skip(reason)


def make_key(path):
    """A fresh key pair at `path` and `path`.pub, without a passphrase."""
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", path], check=True)


def free_port():
    """A port of the loopback interface that nothing listens on."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        return server.getsockname()[1]


def children(process):
    """Numbers of the child processes of a process."""
    return [int(number) for number in Path(f"/proc/{process}/task/{process}/children").read_text().split()]
