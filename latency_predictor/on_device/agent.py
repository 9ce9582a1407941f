"""The agent: the process on a device that measures what the host asks for (Python 3.9, numpy, onnxruntime).

Requests are JSON lines on standard input, each answered by one JSON line on standard output. The end of the input,
which a lost connection is, ends the agent at once, whatever it is doing; so does a request that takes too long.
A network may also be cut without a word, and the input stays open: so the host says every few seconds that it is
alive, and an agent that hears nothing for a while ends.
"""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import json
import os
import queue
import shutil
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

from hat.errors import ArtifactError, HatError, StorageError
from latency_predictor.on_device import environment
from latency_predictor.on_device.workplace import BusyError, DeviceLock, make_folder, pin, temporary_folder

IDLE_LIMIT_S = 60.0  # without a word from the host, until a setup says otherwise
FULL = (errno.ENOSPC, errno.EDQUOT)


def main() -> None:
    """Serve requests until the host is gone."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what libraries print must not come between the answers
    agent = Agent(answers)
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: agent.end())
    threading.Thread(target=agent.read, args=(sys.stdin.buffer,), daemon=True).start()
    agent.serve()


class Agent:
    """Answers requests. `make_bench(folder, setup)` makes what measures, a Bench or a CallBench."""

    def __init__(self, answers: BinaryIO, make_bench: Callable[[str, dict[str, Any]], Any] | None = None) -> None:
        self._answers, self._writing = answers, threading.Lock()
        self._requests: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        self._make_bench = make_bench or _make_bench
        self._bench: Any = None
        self._lock: DeviceLock | None = None
        self._folder: Path | None = None
        self._gpu: str | None = None
        self._busy_wait_s, self._idle_limit_s = 0.0, IDLE_LIMIT_S

    def read(self, lines: Iterable[bytes]) -> None:
        """Take in requests until the host is gone; then end."""
        try:
            for line in lines:
                self._requests.put(json.loads(line))
        finally:  # also when the connection was cut in the middle of a line
            self.end()

    def serve(self) -> None:
        """Answer the requests that are read, for ever."""
        while True:
            with self._limit(self._idle_limit_s):
                request = self._requests.get()
            if request["type"] == "alive":
                continue
            answer = self.handle(request)
            with self._limit(self._idle_limit_s):
                self._write(answer)

    def handle(self, request: dict[str, Any]) -> dict[str, Any]:
        """The answer to one request; what goes wrong is an answer, too."""
        kinds = {"setup": self._set_up, "put": self._put, "measure": self._measure, "check": self._check}
        try:
            return kinds[request["type"]](request)
        except Exception as error:
            return _failed(error)

    def end(self) -> None:
        """End the process, leaving nothing behind."""
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
        os._exit(0)  # not sys.exit: a thread is still waiting for input, and another may be measuring

    def _set_up(self, request: dict[str, Any]) -> dict[str, Any]:
        cpus = pin(request["cpus"], request["threads"])
        before = environment.read_environment()  # once we measure, the load is our own
        self._lock, self._busy_wait_s = DeviceLock(request["session"]), request["busy_wait_s"]
        self._idle_limit_s = request["idle_limit_s"]
        self._gpu = environment.gpu_model() if request["accelerator"] == "cuda" else None
        with self._lock.held(self._busy_wait_s), self._limit(request["timeout_s"], "setup"):
            self._folder = make_folder()
            self._bench = self._make_bench(str(self._folder), request)
        return {
            "type": "ready",
            "process": os.getpid(),
            "cpus": cpus,
            "environment": dataclasses.asdict(environment.read_environment(self._gpu)),
            "warnings": environment.warnings_of(before, request["threads"]),
        }

    def _put(self, request: dict[str, Any]) -> dict[str, Any]:
        return {"type": "put", **self._bench.put(request)}

    def _measure(self, request: dict[str, Any]) -> dict[str, Any]:
        with self._lock.held(self._busy_wait_s):
            time.sleep(request["cool_down_s"])
            with self._limit(request["timeout_s"], "measuring"):
                measured = self._bench.measure(request)
        return {
            "type": "measured",
            **measured,
            "environment": dataclasses.asdict(environment.read_environment(self._gpu)),
        }

    def _check(self, _: dict[str, Any]) -> dict[str, Any]:
        """What `hat-measure-latency --check` shows; packages may be there and yet fail to be imported."""
        import numpy  # noqa: F401
        import onnxruntime

        return {
            "type": "checked",
            "cpus": environment.cpus_in_use(),
            "memory_bytes": environment.free_memory_bytes(),
            "disk_bytes": shutil.disk_usage(temporary_folder()).free,
            "providers": onnxruntime.get_available_providers(),
            "environment": dataclasses.asdict(environment.read_environment(environment.gpu_model())),
        }

    @contextlib.contextmanager
    def _limit(self, seconds: float, what: str | None = None) -> Iterator[None]:
        """End the process if the body takes longer than `seconds`; if it is `what` was asked for, answer so."""

        def overdue() -> None:
            if what:
                self._write({"type": "failed", "kind": "timeout", "message": f"{what} took more than {seconds:g} s"})
            self.end()

        timer = threading.Timer(seconds, overdue)
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()

    def _write(self, answer: dict[str, Any]) -> None:
        with self._writing, contextlib.suppress(OSError):  # a host that is gone also ends the input
            self._answers.write(json.dumps(answer).encode() + b"\n")
            self._answers.flush()


def _make_bench(folder: str, setup: dict[str, Any]) -> Any:
    # Imported after the threads are limited: they import numpy and onnxruntime.
    if setup.get("real_calls"):
        from latency_predictor.on_device.call_bench import CallBench

        return CallBench(folder, setup)
    from latency_predictor.on_device.bench import Bench

    return Bench(folder, setup)


def _failed(error: Exception) -> dict[str, Any]:
    """The answer that tells of an exception."""
    message = " ".join(str(error).split())
    if isinstance(error, BusyError):
        kind = "busy"
    elif isinstance(error, StorageError) or (isinstance(error, OSError) and error.errno in FULL):
        kind = "storage"
    elif isinstance(error, ArtifactError):
        kind = "graph"
    elif isinstance(error, HatError):
        kind = "device"
    elif isinstance(error, ImportError):
        kind = "import"
    elif isinstance(error, MemoryError):
        kind = "memory"
    else:
        place = traceback.extract_tb(error.__traceback__)[-1]
        kind, message = "internal", f"{type(error).__name__}: {message}, at {place.filename}:{place.lineno}"
    return {"type": "failed", "kind": kind, "message": message}
