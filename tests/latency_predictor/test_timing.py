"""The timing protocol, with a clock that only moves when the timed work says so."""

import numpy as np
import pytest

from latency_predictor.timing import MAX_WARM_UP, MIN_SECONDS, time_translation


class Work:
    """Translations that take the given seconds, then the last of them for ever; a tenth of it in the encoder."""

    def __init__(self, *seconds):
        self.now, self.calls, self._seconds = 0.0, 0, seconds

    def clock(self):
        return self.now

    def __call__(self):
        taken = self._seconds[min(self.calls, len(self._seconds) - 1)]
        self.calls += 1
        self.now += taken
        return taken / 10


def test_warm_up_is_not_counted_and_ends_once_stable():
    work = Work(9.0, 3.0, 1.5, 1.45, 1.0, 2.0, 3.0, 4.0)  # 1.45 is within 10 % of 1.5
    timings = time_translation(work, repeats=4, clock=work.clock)
    assert work.calls == 8
    assert timings["total"].count == 4
    assert timings["total"].median == pytest.approx(2500)
    assert timings["total"].p10 == pytest.approx(np.percentile([1000, 2000, 3000, 4000], 10))
    assert timings["total"].p90 == pytest.approx(np.percentile([1000, 2000, 3000, 4000], 90))


def test_encoder_and_decoder_make_the_total():
    work = Work(1.0)
    timings = time_translation(work, repeats=3, clock=work.clock)
    assert timings["encoder"].median == pytest.approx(100)
    assert timings["decoder"].median == pytest.approx(900)


def test_warm_up_is_bounded():
    work = Work(*(2.0**run for run in range(MAX_WARM_UP)), 1.0)
    timings = time_translation(work, repeats=2, clock=work.clock)
    assert work.calls == MAX_WARM_UP + 2
    assert timings["total"].median == pytest.approx(1000)


def test_short_translations_are_repeated_for_a_while():
    work = Work(0.001)
    timings = time_translation(work, repeats=2, clock=work.clock)
    assert timings["total"].count == pytest.approx(MIN_SECONDS / 0.001, abs=1)


def test_one_interruption_does_not_decide():
    work = Work(0.01, 0.01, 0.5, 0.01)  # the first timed run is interrupted
    timings = time_translation(work, repeats=20, clock=work.clock)
    assert timings["total"].median == pytest.approx(10)
