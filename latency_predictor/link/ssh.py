"""How the agent is started on a device, and what it means when that fails: the system's OpenSSH client's words."""

import math
import os
import re
import shlex
import signal
import sys
from dataclasses import dataclass

from latency_predictor.link.devices import Device

# The user's own configuration, keys, jump hosts and host-key checks apply; nothing is ever asked for.
OPTIONS = {
    "BatchMode": "yes",
    "ServerAliveInterval": "5",
    "ServerAliveCountMax": "3",
    "RequestTTY": "no",
    "RemoteCommand": "none",
    "ClearAllForwardings": "yes",
    "ControlMaster": "no",  # a master is used, but never become one: others would end with it
    "LogLevel": "ERROR",  # a QUIET one in the configuration would hide what is wrong
}
SSH_FAILED = 255


@dataclass(frozen=True)
class Failure:
    """Why a device could not be used, with the remedy; `passing` if it may work again in a while."""

    message: str
    passing: bool


def start_command(device: Device, boot_code: str) -> list[str]:
    """The words of the command that starts Python on a Device with the code `boot_code`."""
    if device.host is None:
        return [sys.executable, "-u", "-c", boot_code]
    options = {**OPTIONS, "ConnectTimeout": str(math.ceil(device.connect_timeout_s))}
    words = [word for key, value in options.items() for word in ("-o", f"{key}={value}")]
    # ssh starts in the home directory, and quoted a tilde would not mean it.
    python = device.python[2:] if device.python.startswith("~/") else device.python
    return ["ssh", *_config(device), *words, "--", device.host, shlex.join([python, "-u", "-c", boot_code])]


def by_hand(device: Device, *words: str) -> str:
    """The command that a user types to run `words` on a device, or to look around there."""
    remote = [] if device.host is None else ["ssh", *_config(device), device.host]
    return shlex.join([*remote, *words])


def _config(device: Device) -> list[str]:
    return ["-F", os.path.expanduser(device.ssh_config)] if device.ssh_config else []


def failure(device: Device, status: int | None, said: str) -> Failure:
    """The Failure that the start command's exit `status` (None: it had to be killed) and its words `said` tell of."""
    last = _last_line(said)
    if status is None:
        return Failure("its output ended while it went on", passing=True)
    if device.host is not None and status == SSH_FAILED:
        return _ssh_failure(device, said) or Failure(f"the connection was lost ({last})", passing=True)
    if status in (126, 127):
        return Failure(
            f"{device.python!r} can't be run there ({last}); install Python 3.9 or newer, or name it under `python`",
            passing=False,
        )
    number = -status if status < 0 else status - 128
    if number in set(signal.Signals):
        hint = "; memory may be short there" if number == signal.SIGKILL else ""
        return Failure(f"the agent was killed by {signal.Signals(number).name}{hint}", passing=True)
    return Failure(f"the agent ended with status {status} ({last})", passing=status == 0)  # 0: told to end there


def _ssh_failure(device: Device, said: str) -> Failure | None:
    """The Failure of ssh itself that its words tell of; None if they are of no known kind."""
    connect, keys = by_hand(device), "~/.ssh/config" if device.ssh_config is None else device.ssh_config
    known = (
        ("REMOTE HOST IDENTIFICATION HAS CHANGED", False, f"{_changed_key(device, said)}"),
        (
            "Host key verification failed",
            False,
            f"its host key is not known here; run `{connect}` once and compare the key that it shows with the device's",
        ),
        (
            "Permission denied (|Too many authentication failures",
            False,
            f"it accepts none of your keys; run `ssh-copy-id {device.host}`, or name user and key in {keys}",
        ),
        ("Could not resolve hostname", True, f"no host of that name is known; mend `host` in its file or {keys}"),
        ("Connection refused", True, "it is there but has no SSH server on that port; start one there"),
        (
            "timed out|No route to host|Network is unreachable|Host is down",
            True,
            f"it can't be reached; is it on, and on this network? Try `{connect}`",
        ),
        ("Bad configuration option|user config file", False, f"{keys} can't be used ({_last_line(said)})"),
    )
    for patterns, passing, meaning in known:
        if any(pattern in said for pattern in patterns.split("|")):
            return Failure(meaning, passing)
    return None


def _changed_key(device: Device, said: str) -> str:
    told = re.search(r"ssh-keygen -f .* -R \S+", said)  # Debian's ssh names the file and the port
    forget = told.group() if told else f"ssh-keygen -R {device.host}"
    return (
        "its host key is not the one known here: it was installed anew, or another machine answers in its place; "
        f"compare the key with the device's own, and only if it is right run `{forget}` and `{by_hand(device)}`"
    )


def _last_line(said: str) -> str:
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    return lines[-1] if lines else "it said nothing"
