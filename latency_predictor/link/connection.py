"""Connection: asks the agent on a device, here or over SSH, and starts it again when it is lost."""

import json
import sys
import time
import uuid
from collections.abc import Callable, Sequence
from typing import Any

from hat.errors import DeviceError, HatError, StorageError
from latency_predictor.link.agent_file import agent_source, boot_code
from latency_predictor.link.channel import Channel, ChannelClosed
from latency_predictor.link.devices import Device
from latency_predictor.link.ssh import by_hand, failure, start_command

PAUSES_S = (1.0, 2.0, 5.0, 10.0, 20.0, 30.0)  # before each new try after a lost connection or agent
HANGS = 2  # answers in a row that take too long, before that is an error
START_S = 60.0  # for Python, numpy and onnxruntime to be loaded, from a slow card
BUSY_WAIT_S = 60.0  # for another agent there to finish its sample
GRACE_S = 10.0  # for the agent to say by itself that it took too long, and for the way
ALIVE_S = 10.0  # between two words to an agent that has nothing to do
IDLE_LIMIT_S = 60.0  # without a word, after which the agent ends by itself; a host that lives on starts another


class _Lost(Exception):  # noqa: N818
    """The agent or the way to it is gone, but may come back."""


class _Hung(_Lost):
    """No answer within the time limit."""


class Connection:
    """Talks to the agent on a Device; reconnects by itself.

    `setup` is what the agent sets up with at every connect, `ready` its last answer to that; `report(text)` is called
    for each reconnection. For one thread.
    Raises DeviceError for a device that can't be used and StorageError for a full disk there.
    """

    def __init__(self, device: Device, setup: dict[str, Any], report: Callable[[str], object] = print) -> None:
        self._device, self._report = device, report
        self._setup = {
            "type": "setup",
            "threads": device.threads,
            "accelerator": device.accelerator,
            "cpus": list(device.cpus),
            "timeout_s": device.sample_timeout_s,
            "busy_wait_s": BUSY_WAIT_S,
            "idle_limit_s": IDLE_LIMIT_S,
            **setup,
            "session": uuid.uuid4().hex,
        }
        self._channel: Channel | None = None
        self.ready: Any = None
        self._persist(self._connect)

    def __enter__(self) -> "Connection":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def ask(self, request: dict[str, Any]) -> dict[str, Any]:
        """The answer to one request, whatever happens to the connection meanwhile."""
        request = {"cool_down_s": self._device.cool_down_s, "timeout_s": self._device.sample_timeout_s, **request}

        def attempt() -> dict[str, Any]:
            if self._channel is None:
                self._connect()
            return self._exchange(_line(request), request["timeout_s"] + request["cool_down_s"])

        return self._persist(attempt)

    def close(self) -> None:
        """End the agent."""
        channel, self._channel = self._channel, None
        if channel is not None:
            channel.close()

    def _persist(self, attempt: Callable[[], Any]) -> Any:
        """The result of `attempt()`, tried again as long as there is hope."""
        pauses, hangs = iter(PAUSES_S), 0
        while True:
            try:
                return attempt()
            except _Lost as lost:
                self.close()
                hangs = hangs + 1 if isinstance(lost, _Hung) else 0
                pause = next(pauses, None)
                if pause is None or hangs == HANGS:
                    raise _device_error(self._device, str(lost)) from None
                self._report(f"{self._device.name}: {lost}; trying again in {pause:g} s")
                time.sleep(pause)
            except KeyboardInterrupt:  # the answer may still come, but nobody waits for it
                self.close()
                raise

    def _connect(self) -> None:
        """Start the agent and set it up. Before it was ever reached, what may be a passing trouble is an error."""
        self._channel = _start(self._device)
        content = agent_source().encode() + _line(self._setup)
        try:
            self.ready = self._exchange(content, self._device.connect_timeout_s + START_S + self._setup["timeout_s"])
        except HatError:
            self.close()
            raise
        self._channel.repeat(_line({"type": "alive"}), ALIVE_S)

    def _exchange(self, content: bytes, timeout_s: float) -> dict[str, Any]:
        try:
            answer = self._channel.exchange(content, timeout_s + self._setup["busy_wait_s"] + GRACE_S)
        except TimeoutError:
            raise _Hung(self._too_long()) from None
        except ChannelClosed as closed:
            why = failure(self._device, closed.status, closed.said)
            if why.passing and (self.ready is not None or closed.status != 255):
                raise _Lost(why.message) from None
            raise _device_error(self._device, why.message) from None
        if answer["type"] == "failed" and answer["kind"] == "timeout":
            raise _Hung(self._too_long())
        return checked(self._device, answer)

    def _too_long(self) -> str:
        limit = self._device.sample_timeout_s
        return f"no answer within sample_timeout_s: {limit:g}; see what else runs there, or raise it in its file"


def ask_once(device: Device, request: dict[str, Any]) -> dict[str, Any]:
    """The answer of an agent that is started for this one request, as it is. Raises DeviceError if none can be had."""
    channel = _start(device)
    try:
        return channel.exchange(agent_source().encode() + _line(request), device.connect_timeout_s + START_S)
    except TimeoutError:
        limit = device.connect_timeout_s + START_S
        raise _device_error(device, f"no answer within {limit:g} s; see what else runs there") from None
    except ChannelClosed as closed:
        raise _device_error(device, failure(device, closed.status, closed.said).message) from None
    finally:
        channel.close()


def _start(device: Device) -> Channel:
    try:
        return Channel(start_command(device, boot_code(agent_source().encode())))
    except FileNotFoundError:
        raise _device_error(device, "this machine has no `ssh`; install it: sudo apt install openssh-client") from None


def _line(message: dict[str, Any]) -> bytes:
    return json.dumps(message).encode() + b"\n"


def checked(device: Device, answer: dict[str, Any]) -> dict[str, Any]:
    """The answer, unless it says that the request failed: then DeviceError or StorageError."""
    if answer["type"] == "unusable":
        raise _device_error(device, _unusable(device, answer))
    if answer["type"] != "failed":
        return answer
    kind, message = answer["kind"], answer["message"]
    if kind == "storage":
        raise StorageError(f"device {device.name!r}: the disk there is full ({message}); free some space and run again")
    meanings = {
        "busy": f"{message}; wait for it, or end it with `{by_hand(device, 'kill')} PROCESS`",
        "memory": f"out of memory there {message}; end what else runs there, or use a smaller search space",
        "import": f"{message}; install it again: {install_command(device, ['numpy', 'onnxruntime'])}",
        "graph": f"its onnxruntime can't run what was sent: {message}",
        "internal": f"the agent failed ({message}); please report this",
    }
    raise _device_error(device, meanings.get(kind, message))


def _unusable(device: Device, answer: dict[str, Any]) -> str:
    if answer["missing"]:
        missing = answer["missing"]
        return f"its Python lacks {' and '.join(missing)}: {install_command(device, missing)}"
    return (
        f"{device.python} there is Python {answer['python']}, and 3.9 is the oldest that will do; "
        "install a newer one and name it under `python` in the device's file"
    )


def install_command(device: Device, packages: Sequence[str]) -> str:
    """The command that installs or renews packages there."""
    python = device.python if device.host else sys.executable
    return by_hand(device, python, "-m", "pip", "install", "--upgrade", *packages)


def _device_error(device: Device, message: str) -> DeviceError:
    where = f" ({device.host})" if device.host else ""
    return DeviceError(f"device {device.name!r}{where}: {message}")
