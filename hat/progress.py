"""Progress of long work: a bar with rate and ETA on a terminal, plain lines elsewhere (both on stderr)."""

import sys
import time
from types import TracebackType

from tqdm import tqdm

SECONDS_BETWEEN_LINES = 15.0


class Progress:
    """Counts `total` steps of `unit`; use as a context manager and call `advance`.

    `initial` is what an earlier, interrupted run had finished already.
    """

    def __init__(self, description: str, total: int, unit: str, initial: int = 0) -> None:
        self._description, self._total, self._unit = description, total, unit
        self._done = self._initial = initial
        self._start = self._last_line = time.monotonic()
        self._bar: tqdm | None = None
        if sys.stderr.isatty():
            self._bar = tqdm(desc=description, total=total, unit=f" {unit}", initial=initial, dynamic_ncols=True)

    def __enter__(self) -> "Progress":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, _value: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.close()
        elif kind is None and self._done > self._initial:
            self._print_line("")

    def advance(self, steps: int = 1, note: str = "") -> None:
        """Add `steps` finished steps; `note` is a short text such as 'loss 3.21, 5.1k tokens/s'."""
        self._done += steps
        if self._bar is not None:
            self._bar.set_postfix_str(note, refresh=False)
            self._bar.update(steps)
        elif time.monotonic() - self._last_line >= SECONDS_BETWEEN_LINES:
            self._print_line(note)

    def skip(self, steps: int) -> None:
        """Count `steps` that an earlier, interrupted run turns out to have finished: no part of the rate."""
        self._done += steps
        self._initial += steps
        if self._bar is not None:
            self._bar.initial += steps
            self._bar.update(steps)

    def _print_line(self, note: str) -> None:
        self._last_line = time.monotonic()
        rate = (self._done - self._initial) / max(self._last_line - self._start, 1e-9)
        remaining = (self._total - self._done) / rate if rate > 0 else float("inf")
        parts = [f"{self._description}: {self._done}/{self._total} {self._unit}", f"{rate:.2f}/s"]
        if self._done < self._total:
            parts.append(f"ETA {format_seconds(remaining)}")
        print(", ".join(parts + ([note] if note else [])), file=sys.stderr, flush=True)


def format_ms(milliseconds: float) -> str:
    """'12.34 ms', or '0.123 ms' below one."""
    return f"{milliseconds:.{2 if milliseconds >= 1 else 3}f} ms"


def format_seconds(seconds: float) -> str:
    """'47 s', '3:05 min' or '2:07 h'."""
    if seconds == float("inf"):
        return "unknown"
    seconds = int(round(seconds))
    if seconds < 60:
        return f"{seconds} s"
    if seconds < 3600:
        return f"{seconds // 60}:{seconds % 60:02d} min"
    return f"{seconds // 3600}:{seconds % 3600 // 60:02d} h"
