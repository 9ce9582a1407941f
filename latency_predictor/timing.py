"""The timing protocol: warm up until stable, then repeat; only the standard library and numpy (Python 3.9)."""

import time
from dataclasses import dataclass

import numpy as np

MAX_WARM_UP = 10  # runs
STABLE = 0.1  # a run within this share of the one before it ends the warm-up
MIN_SECONDS = 0.1  # short translations are repeated for so long, lest one interruption by other work decides


@dataclass(frozen=True)
class Timing:
    """Milliseconds of `count` repeated runs."""

    median: float
    p10: float
    p90: float
    count: int

    @classmethod
    def of(cls, seconds):
        """Statistics of a list of durations in seconds."""
        p10, median, p90 = (float(value) for value in np.percentile(np.asarray(seconds) * 1e3, (10, 50, 90)))
        return cls(median=median, p10=p10, p90=p90, count=len(seconds))


def time_translation(translate, repeats, clock=time.perf_counter):
    """Time `translate()`, which returns the seconds that its encoder took, at least `repeats` times.

    Returns Timings of {"encoder", "decoder", "total"}; the decoder's is all but the encoder, beam search included.
    """

    def timed():
        start = clock()
        encoder = translate()
        return encoder, clock() - start

    _warm_up(timed)
    runs = []
    while len(runs) < repeats or sum(total for _, total in runs) < MIN_SECONDS:
        runs.append(timed())
    encoder, total = np.array(runs).T
    return {"encoder": Timing.of(encoder), "decoder": Timing.of(total - encoder), "total": Timing.of(total)}


def _warm_up(timed):
    previous = timed()[1]
    for _ in range(MAX_WARM_UP - 1):
        latest = timed()[1]
        if abs(latest - previous) <= STABLE * previous:
            return
        previous = latest
