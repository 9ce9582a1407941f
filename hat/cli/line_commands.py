"""What commands that read lines share: a bundle and how to run it, lines to read, progress and warnings."""

from __future__ import annotations

import argparse
import os
import sys
import time
import warnings
from collections.abc import Iterator
from typing import Any

from hat.cli.common import positive_int
from hat.cli.line_files import decoded_lines, open_lines


def add_bundle_options(parser: argparse.ArgumentParser, bundle: str | None = None) -> None:
    """Add BUNDLE, of which `bundle` is the default, the files to read and write, and what computes how much at once."""
    add_bundle(parser, bundle)
    parser.add_argument("--input", metavar="FILE", help="text to read, a line each (default: standard input)")
    parser.add_argument("--output", metavar="FILE", help="replaced when all is written (default: standard output)")
    parser.add_argument("--threads", type=positive_int, default=1, metavar="N", help="processor threads a worker")
    parser.add_argument("--workers", type=positive_int, default=1, metavar="N", help="batches at once, over cores")
    parser.add_argument("--batch", type=positive_int, default=1000, metavar="N", help="tokens of text in one batch")
    parser.add_argument("--accelerator", choices=("cpu", "cuda"), default="cpu", help="cuda needs onnxruntime-gpu")


def add_bundle(parser: argparse.ArgumentParser, bundle: str | None = None) -> None:
    """Add BUNDLE, of which `bundle` is the default."""
    default: dict[str, Any] = {"nargs": "?", "default": bundle} if bundle else {}
    parser.add_argument("bundle", metavar="BUNDLE", help="folder that hat-export wrote", **default)


class InputLines:
    """The lines of the file at `path`, or of standard input for None; raises DataError as `decoded_lines` does.

    Says on a terminal how much of a file has been read; nothing for pipes, whose size is unknown. `window` is how many
    lines to read ahead: one where somebody types them, else None, for the default.
    """

    def __init__(self, command: str, path: str | None) -> None:
        self._command, self._name = command, path or "standard input"
        self._stream = open_lines(path)
        file = os.fstat(self._stream.fileno())
        self._size = file.st_size if sys.stderr.isatty() and not sys.stdout.isatty() else 0
        self._shown = time.monotonic()
        self.window = 1 if self._stream.isatty() else None

    def __iter__(self) -> Iterator[str]:
        for number, line in enumerate(decoded_lines(self._stream, self._name), start=1):
            if self._size and time.monotonic() - self._shown > 1:
                self._shown = time.monotonic()
                print(f"{self._command}: {number} lines, {self._stream.tell() / self._size:.0%} read", file=sys.stderr)
            yield line


def show_warnings(command: str) -> None:
    """Warnings become lines on stderr, each one however often it comes."""

    def show(message: Any, *_: Any) -> None:
        print(f"{command}: warning: {message}", file=sys.stderr)

    warnings.simplefilter("always", UserWarning)
    warnings.showwarning = show  # type: ignore[assignment]
