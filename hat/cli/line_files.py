"""Lines of text in and out of commands: strict when reading, and nothing lost when writing fails."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import BinaryIO

from hat.errors import DataError, HatError, StorageError

STANDARD_OUTPUT = 1


def open_lines(path: str | None) -> BinaryIO:
    """A binary file for `decoded_lines`, standard input for None; raises DataError if it can't be opened."""
    if path is None:
        return sys.stdin.buffer
    try:
        return open(path, "rb")
    except OSError as error:
        raise DataError(f"{path} can't be read ({error.strerror}); name a text file") from None


def decoded_lines(stream: Iterable[bytes], name: str) -> Iterator[str]:
    """Lines of a binary stream without their ends; raises DataError, naming the line, if one isn't UTF-8.

    Only a line feed ends a line; carriage returns before it, and a byte-order mark, are dropped.
    """
    for number, line in enumerate(stream, start=1):
        try:
            text = line.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError:
            raise DataError(f"{name}, line {number}: not UTF-8; convert it first, with iconv for one") from None
        yield text.rstrip("\r\n")


class LineOutput:
    """Writes lines to the file at `path`, which is replaced when all are written, or to standard output for None.

    Until then, and when something fails, the lines are in PATH.partial. What is not a plain file, such as a device,
    is written to directly. Raises StorageError if it can't be written. Use as a context manager. `content` is what
    errors call the lines.
    """

    def __init__(self, path: str | None = None, content: str = "translations") -> None:
        self._content = content
        self._path = None if path is None else os.path.realpath(path)
        plain = self._path is not None and (os.path.isfile(self._path) or not os.path.lexists(self._path))
        self._partial = f"{self._path}.partial" if plain else None
        self._name = path or "standard output"
        target = self._partial or self._path or STANDARD_OUTPUT
        # Unbuffered, so that no rest is left for the interpreter's exit.
        with self._storage_errors():
            self._file = open(target, "wb", buffering=0, closefd=target != STANDARD_OUTPUT)  # noqa: SIM115

    def write(self, line: str) -> None:
        """Write `line` and a line feed."""
        rest = line.encode("utf-8") + b"\n"
        with self._storage_errors():
            while rest:
                rest = rest[self._file.write(rest) :]

    def __enter__(self) -> LineOutput:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._file.close()
        if self._partial is None:
            return
        try:
            if error is None:
                self._install()
        except StorageError as failure:
            error = failure
        if isinstance(error, HatError):
            raise type(error)(f"{error}; the {self._content} up to there are in {self._partial}") from None

    def _install(self) -> None:
        with self._storage_errors():
            with open(self._partial, "rb") as handle:
                os.fsync(handle.fileno())
            os.replace(self._partial, self._path)

    @contextlib.contextmanager
    def _storage_errors(self) -> Iterator[None]:
        """OSErrors of the block as StorageError, save that a reader has seen enough."""
        try:
            yield
        except BrokenPipeError:
            raise
        except OSError as error:
            reason = f"{self._name} can't be written ({error.strerror})"
            raise StorageError(f"{reason}; make room or name another --output") from None
