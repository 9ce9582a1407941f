"""The timing protocol: warm up until stable, then repeat; only the standard library and numpy (Python 3.9)."""

import time
from dataclasses import dataclass

import numpy as np

MAX_WARM_UP = 10  # runs
STABLE = 0.1  # a run within this share of the one before it ends the warm-up


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


class Stopwatch:
    """Wraps a function and adds up the seconds spent in it, in `seconds`."""

    def __init__(self, function, clock=time.perf_counter):
        self._function, self._clock = function, clock
        self.seconds = 0.0

    def __call__(self, *arguments, **keywords):
        start = self._clock()
        result = self._function(*arguments, **keywords)
        self.seconds += self._clock() - start
        return result


def time_translation(translate, repeats, clock=time.perf_counter):
    """Time `translate()`, which returns the seconds that its encoder took.

    Returns Timings of {"encoder", "decoder", "total"}; the decoder's is all but the encoder, beam search included.
    """

    def timed():
        start = clock()
        encoder = translate()
        return encoder, clock() - start

    _warm_up(timed)
    encoder, total = np.array([timed() for _ in range(repeats)]).T
    return {"encoder": Timing.of(encoder), "decoder": Timing.of(total - encoder), "total": Timing.of(total)}


def _warm_up(timed):
    previous = timed()[1]
    for _ in range(MAX_WARM_UP - 1):
        latest = timed()[1]
        if abs(latest - previous) <= STABLE * previous:
            return
        previous = latest
