"""Latency: how long translations take, with how far measurements of it spread."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

BUSY = 0.05  # share of the time that other work had the processor, above which a machine is too busy to judge by


@dataclass(frozen=True)
class Latency:
    """Milliseconds that a share of the sentences stay within: the middle of several rounds, with their range.

    `taken` is the share of the time in which other work had the processor; None where that isn't known.
    """

    ms: float
    low_ms: float
    high_ms: float
    taken: float | None = None

    @property
    def half_width(self) -> float:
        """Half of the range as a share of the latency."""
        return (self.high_ms - self.low_ms) / 2 / self.ms

    @property
    def busy(self) -> bool:
        """Whether other work disturbed the measurement."""
        return self.taken is not None and self.taken > BUSY


def of_rounds(latencies: Sequence[Latency]) -> Latency:
    """The Latency of several rounds, of which there is one each."""
    taken = [latency.taken for latency in latencies if latency.taken is not None]
    return Latency(
        ms=statistics.median(latency.ms for latency in latencies),
        low_ms=min(latency.low_ms for latency in latencies),
        high_ms=max(latency.high_ms for latency in latencies),
        taken=max(taken, default=None),
    )
