"""A process on this machine that is spoken to in lines, with time limits: the agent itself, or ssh on the way to it."""

import contextlib
import json
import os
import selectors
import signal
import subprocess
import threading
import time
from collections.abc import Sequence
from typing import Any

CHUNK = 1 << 16  # bytes read at a time
KEPT = 20_000  # bytes of standard error: the end of it tells what went wrong
END_S = 2.0  # for a process to end by itself once its input is closed


class ChannelClosed(Exception):  # noqa: N818
    """The process has ended, or closed its output, before it answered. `status` is None if it has to be killed."""

    def __init__(self, status: int | None, said: str) -> None:
        super().__init__(f"ended with status {status}")
        self.status, self.said = status, said


class Channel:
    """Runs `command`, a list of words. Not stopped by the terminal's Ctrl-C, which is this process's to handle.

    For one thread.
    """

    def __init__(self, command: Sequence[str]) -> None:
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(
            command, stdin=pipe, stdout=pipe, stderr=pipe, bufsize=0, start_new_session=True
        )
        self._pipes = (self._process.stdin, self._process.stdout, self._process.stderr)
        for each in self._pipes:
            os.set_blocking(each.fileno(), False)
        self._received, self._said = bytearray(), bytearray()
        self._in_use, self._closing = threading.Lock(), threading.Event()

    def exchange(self, content: bytes, timeout_s: float) -> dict[str, Any]:
        """Send `content`, bytes, and return the next message: a line that is a JSON object with a "type".

        Other lines, which a login may print, are passed over. Raises TimeoutError, ChannelClosed.
        """
        deadline, unsent = time.monotonic() + timeout_s, memoryview(content)
        stdin, stdout, stderr = self._pipes
        with self._in_use, selectors.DefaultSelector() as selector:
            selector.register(stdin, selectors.EVENT_WRITE)
            selector.register(stdout, selectors.EVENT_READ)
            selector.register(stderr, selectors.EVENT_READ)
            while True:
                message = self._message()
                if message is not None:
                    return message
                remaining = deadline - time.monotonic()
                if remaining <= 0:
                    raise TimeoutError
                for key, _ in selector.select(remaining):
                    if key.fileobj is stdin:
                        unsent = self._send(unsent)
                    elif not self._take_in(key.fileobj):
                        if key.fileobj is stdout:
                            raise self._closed()
                        selector.unregister(key.fileobj)
                if not unsent and stdin in selector.get_map():
                    selector.unregister(stdin)

    def repeat(self, content: bytes, every_s: float) -> None:
        """From now on send `content`, a few bytes, every so many seconds, save while an exchange is going on."""
        threading.Thread(target=self._repeat, args=(content, every_s), daemon=True).start()

    def _repeat(self, content: bytes, every_s: float) -> None:
        while not self._closing.wait(every_s):
            if self._in_use.acquire(blocking=False):
                with contextlib.suppress(OSError, ValueError):  # gone, full or closed: the next exchange will tell
                    os.write(self._process.stdin.fileno(), content)
                self._in_use.release()

    def close(self) -> None:
        """Close its input, at which the agent ends; kill the process, and those that it started, if it goes on."""
        self._closing.set()
        with self._in_use, contextlib.suppress(OSError):
            self._process.stdin.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(END_S)
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        for each in self._pipes:
            with contextlib.suppress(OSError):
                each.close()

    def _message(self) -> dict[str, Any] | None:
        """The first complete message of what was received; None without one."""
        while True:
            line, newline, rest = self._received.partition(b"\n")
            if not newline:
                return None
            self._received = rest
            with contextlib.suppress(ValueError):
                message = json.loads(line)
                if isinstance(message, dict) and "type" in message:
                    return message

    def _send(self, unsent: memoryview) -> memoryview:
        """What is left of `unsent`; nothing for a process that takes in no more, whose output will tell why."""
        try:
            return unsent[os.write(self._process.stdin.fileno(), unsent[:CHUNK]) :]
        except BlockingIOError:
            return unsent
        except BrokenPipeError:
            return unsent[:0]

    def _take_in(self, pipe: Any) -> bool:
        """Read what a pipe holds; False at its end."""
        try:
            content = os.read(pipe.fileno(), CHUNK)
        except BlockingIOError:
            return True
        if pipe is self._process.stdout:
            self._received += content
        else:
            self._said = (self._said + content)[-KEPT:]
        return bool(content)

    def _closed(self) -> ChannelClosed:
        """The ChannelClosed of a process whose output has ended."""
        deadline = time.monotonic() + END_S
        status = None
        with contextlib.suppress(subprocess.TimeoutExpired):
            status = self._process.wait(END_S)
        stderr = self._process.stderr
        with selectors.DefaultSelector() as selector:  # its last words may come after its last answer
            selector.register(stderr, selectors.EVENT_READ)
            while selector.select(max(0.0, deadline - time.monotonic())) and self._take_in(stderr):
                pass
        return ChannelClosed(status, self._said.decode(errors="replace"))
