"""The timing protocol: warm up until stable, then rounds of batches beside a fixed reference (Python 3.9, numpy).

A machine's pace changes: heat, other work, a neighbour on the same host. Every round therefore times the reference
before and after the work in question, so that it lives through the same; fitting.pace puts samples right by
it. Rounds go on until the confidence interval of their median is narrow, up to a bound.

What counts of a round's runs is their lower quartile: other work only ever makes a run longer, and on a busy machine
the quartile repeats with two thirds of the scatter that the median has. On a quiet one they hardly differ. Runs of one
round share its pace, so what is known, and how surely, follows from the rounds' quartiles: their median counts.

What runs in a single thread is timed by that thread's own processor time, which is the time it takes on a device that
does nothing else: moments in which other processes had the processor don't count. Their share is told.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np

MAX_WARM_UP = 10  # runs
STABLE = 0.1  # a run within this share of the one before it ends the warm-up
BATCH_SECONDS = 0.01  # short work is repeated for so long in a batch
ROUNDS = 6  # the least number with which the range of the rounds is a 95 % confidence interval of their median
MAX_ROUNDS = 12
PRECISE = 0.02  # rounds end when the confidence interval is within this share of the median, either way
WIDE = 0.05  # a sample whose interval is wider at the end is not stable
CONFIDENCE = 0.95
CLOCKS = {"processor": time.thread_time, "wall": time.perf_counter}


@dataclass(frozen=True)
class Timing:
    """Milliseconds of `count` repeated runs; `ci_low` to `ci_high` is the 95 % confidence interval of `p25`.

    `p25` is the median over the rounds of each one's lower quartile, the other percentiles are those of all runs.
    """

    p10: float
    p25: float
    median: float
    p90: float
    ci_low: float
    ci_high: float
    count: int

    @property
    def half_width(self) -> float:
        """Half of the confidence interval as a share of what counts."""
        return (self.ci_high - self.ci_low) / 2 / self.p25

    def scaled(self, factor: float) -> Timing:
        """All milliseconds times `factor`."""
        values = {name: value * factor for name, value in vars(self).items() if name != "count"}
        return Timing(**values, count=self.count)


@dataclass(frozen=True)
class Rounds:
    """What `time_rounds` found: for each piece of work the Timings of its phases and, last, of the whole.

    `stable` says whether the confidence interval became narrow, `taken` which share of the time other processes had the
    processor.
    """

    works: list
    reference: Timing
    stable: bool
    taken: float

    def to_dict(self, phases: Sequence[str], points: Iterable[Sequence[int]]) -> dict[str, Any]:
        """JSON-like; `points` hold the lengths of the phases of these names, in the order of the works."""
        lengths = []
        for point, timings in zip(points, self.works):
            *parts, total = map(asdict, timings)
            found = {"phases_ms": dict(zip(phases, parts)), "total_ms": total}
            lengths.append({"lengths": dict(zip(phases, point)), **found})
        reference_ms = asdict(self.reference)
        return {"lengths": lengths, "reference_ms": reference_ms, "stable": self.stable, "taken": self.taken}


def clock_name(threads: int, accelerator: str = "cpu") -> Literal["processor", "wall"]:
    """Which of CLOCKS to time with: processor time of the calling thread if it does all the work, else the wall's."""
    return "processor" if threads == 1 and accelerator == "cpu" else "wall"


def clock_for(threads: int, accelerator: str = "cpu") -> Callable[[], float]:
    """The clock that `clock_name` names."""
    return CLOCKS[clock_name(threads, accelerator)]


def time_rounds(
    works: Sequence[Callable[[], Sequence[float]]],
    reference: Callable[[], Sequence[float]],
    repeats: int,
    clock: Callable[[], float],
) -> Rounds:
    """Time each of `works` at least `repeats` times, beside `reference`.

    All are functions that do the work once and return the seconds that each of its phases but the last took by the
    same `clock`; the last one's is the rest of the call.
    """
    wall_start, start = time.perf_counter(), clock()
    timed = [_Timed(work, clock) for work in (reference, *works)]
    for each in timed:
        each.warm_up()
    least = math.ceil(repeats / ROUNDS)
    before = timed[0].batch(least)
    rounds: list[tuple[np.ndarray, list[np.ndarray], np.ndarray]] = []
    while True:
        batches = [each.batch(least) for each in timed[1:]]
        after = timed[0].batch(least)
        rounds.append((before, batches, after))
        before = after
        if len(rounds) >= ROUNDS:
            timings, reference_timing, half_width = _summary(rounds)
            if half_width <= PRECISE or len(rounds) == MAX_ROUNDS:
                taken = 1 - (clock() - start) / (time.perf_counter() - wall_start)
                return Rounds(timings, reference_timing, half_width <= WIDE, max(taken, 0.0))


class _Timed:
    """Does one piece of work again and again."""

    def __init__(self, work: Callable[[], Sequence[float]], clock: Callable[[], float]) -> None:
        self._work, self._clock = work, clock

    def _run(self) -> tuple[float, ...]:
        start = self._clock()
        phases = self._work()
        return (*phases, self._clock() - start)

    def warm_up(self) -> None:
        previous = self._run()[-1]
        for _ in range(MAX_WARM_UP - 1):
            latest = self._run()[-1]
            if abs(latest - previous) <= STABLE * previous:
                return
            previous = latest

    def batch(self, least: int) -> np.ndarray:
        """Seconds (runs, phases) of each phase but the last, and of the whole."""
        runs: list[tuple[float, ...]] = []
        while len(runs) < least or sum(run[-1] for run in runs) < BATCH_SECONDS:
            runs.append(self._run())
        return np.array(runs)


def _summary(
    rounds: Sequence[tuple[np.ndarray, list[np.ndarray], np.ndarray]],
) -> tuple[list[list[Timing]], Timing, float]:
    """(Timings of the works, Timing of the reference, relative half width of the interval of all together).

    A round is (reference batch, [batch of each work], reference batch).
    """
    reference = [rounds[0][0], *(after for _, _, after in rounds)]
    works = [_timings(list(batches)) for batches in zip(*(batches for _, batches, _ in rounds))]
    sums = [sum(_lower_quartile(batch[:, -1]) for batch in batches) for _, batches, _ in rounds]
    low, high = confidence_interval(sums)
    half_width = float((high - low) / 2 / np.median(sums))
    return works, _timing([batch[:, -1] for batch in reference]), half_width


def _timings(batches: Sequence[np.ndarray]) -> list[Timing]:
    """Timings of the phases, and of the whole, of the batches of one piece of work."""
    rests = [batch[:, -1] - batch[:, :-1].sum(axis=1) for batch in batches]
    columns = [np.column_stack([batch[:, :-1], rest, batch[:, -1]]) for batch, rest in zip(batches, rests)]
    return [_timing([batch[:, number] for batch in columns]) for number in range(columns[0].shape[1])]


def _timing(batches: Sequence[np.ndarray]) -> Timing:
    """The Timing of a list of arrays of seconds."""
    runs = np.concatenate(batches) * 1e3
    p10, median, p90 = (float(value) for value in np.percentile(runs, (10, 50, 90)))
    quartiles = [_lower_quartile(batch) * 1e3 for batch in batches]
    low, high = confidence_interval(quartiles)
    return Timing(p10, float(np.median(quartiles)), median, p90, low, high, count=len(runs))


def _lower_quartile(runs: np.ndarray) -> float:
    return float(np.percentile(runs, 25))


def confidence_interval(values: Sequence[float]) -> tuple[float, float]:
    """(low, high) around the median of the population, with at least 95 % confidence whatever its distribution is.

    The bounds are order statistics, as far inwards as the binomial distribution of how many of the values lie below the
    median allows, with 2.5 % on either side (David and Nagaraja, "Order statistics", 2003, section 7.1). The smallest
    and the largest value where there are too few for that.
    """
    ordered, count = sorted(values), len(values)
    k, cases = 0, 1  # of the 2**count ways to lie below or above the median, those with at most k below; whole numbers
    while cases / 2**count <= (1 - CONFIDENCE) / 2:
        k += 1
        cases += math.comb(count, k)
    k = max(k, 1)
    return ordered[k - 1], ordered[-k]
