"""The timing protocol: warm up until stable, then rounds of batches beside a fixed reference (Python 3.9, numpy).

A machine's pace changes: heat, other work, a neighbour on the same host. Every round therefore times the reference
before and after the translations in question, so that it lives through the same; fitting.pace puts samples right by
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
BATCH_SECONDS = 0.01  # short translations are repeated for so long in a batch
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
    """What `time_rounds` found: for each translation its Timings {"encoder", "decoder", "total"}.

    `stable` says whether the confidence interval became narrow, `taken` which share of the time other processes had the
    processor.
    """

    translations: list
    reference: Timing
    stable: bool
    taken: float

    def to_dict(self, points: Iterable[Sequence[int]]) -> dict[str, Any]:
        """JSON-like; `points` are the (source length, target steps) of the runs, 0 steps where nothing is decoded."""
        lengths = [
            {"source_length": source, "target_steps": steps}
            | {f"{part}_ms": asdict(timing) if steps or part != "decoder" else None for part, timing in timings.items()}
            for (source, steps), timings in zip(points, self.translations)
        ]
        reference_ms = asdict(self.reference)
        return {"lengths": lengths, "reference_ms": reference_ms, "stable": self.stable, "taken": self.taken}


def clock_name(threads: int, accelerator: str = "cpu") -> Literal["processor", "wall"]:
    """Which of CLOCKS to time with: processor time of the calling thread if it does all the work, else the wall's."""
    return "processor" if threads == 1 and accelerator == "cpu" else "wall"


def clock_for(threads: int, accelerator: str = "cpu") -> Callable[[], float]:
    """The clock that `clock_name` names."""
    return CLOCKS[clock_name(threads, accelerator)]


def time_rounds(
    translations: Sequence[Callable[[], float]],
    reference: Callable[[], float],
    repeats: int,
    clock: Callable[[], float],
) -> Rounds:
    """Time each of `translations` at least `repeats` times, beside `reference`.

    All are functions that translate once and return the seconds that the encoder took by the same `clock`; the
    decoder's time is the rest of the call, beam search included.
    """
    wall_start, start = time.perf_counter(), clock()
    timed = [_Timed(translate, clock) for translate in (reference, *translations)]
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
    """Runs one translation again and again."""

    def __init__(self, translate: Callable[[], float], clock: Callable[[], float]) -> None:
        self._translate, self._clock = translate, clock

    def _run(self) -> tuple[float, float]:
        start = self._clock()
        encoder = self._translate()
        return encoder, self._clock() - start

    def warm_up(self) -> None:
        previous = self._run()[1]
        for _ in range(MAX_WARM_UP - 1):
            latest = self._run()[1]
            if abs(latest - previous) <= STABLE * previous:
                return
            previous = latest

    def batch(self, least: int) -> np.ndarray:
        """Seconds (runs, 2) of the encoder and of the whole."""
        runs: list[tuple[float, float]] = []
        while len(runs) < least or sum(total for _, total in runs) < BATCH_SECONDS:
            runs.append(self._run())
        return np.array(runs)


def _summary(
    rounds: Sequence[tuple[np.ndarray, list[np.ndarray], np.ndarray]],
) -> tuple[list[dict[str, Timing]], Timing, float]:
    """(Timings of the translations, Timing of the reference, relative half width of the interval of all together).

    A round is (reference batch, [batch of each translation], reference batch).
    """
    reference = [rounds[0][0], *(after for _, _, after in rounds)]
    translations = [_timings(list(batches)) for batches in zip(*(batches for _, batches, _ in rounds))]
    sums = [sum(_lower_quartile(batch[:, 1]) for batch in batches) for _, batches, _ in rounds]
    low, high = confidence_interval(sums)
    half_width = float((high - low) / 2 / np.median(sums))
    return translations, _timing([batch[:, 1] for batch in reference]), half_width


def _timings(batches: Sequence[np.ndarray]) -> dict[str, Timing]:
    """{"encoder", "decoder", "total": Timing} of the batches of one translation."""
    parts = {"encoder": lambda b: b[:, 0], "decoder": lambda b: b[:, 1] - b[:, 0], "total": lambda b: b[:, 1]}
    return {name: _timing([part(batch) for batch in batches]) for name, part in parts.items()}


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
