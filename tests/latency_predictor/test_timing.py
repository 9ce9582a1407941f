"""The timing protocol, with a clock that only moves when the timed work says so."""

import itertools
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom

from latency_predictor.on_device.timing import (
    BATCH_SECONDS,
    MAX_ROUNDS,
    MAX_WARM_UP,
    ROUNDS,
    clock_for,
    confidence_interval,
    time_rounds,
)


class Machine:
    """A clock, and translations that take their seconds times the machine's pace at that moment."""

    def __init__(self, pace=lambda now: 1.0):
        self.now, self.taken, self._pace = 0.0, [], pace

    def clock(self):
        return self.now

    def work(self, *seconds, encoder=0.1):
        """A translation that takes the given seconds, one after the other, then the last of them for ever."""
        durations = itertools.chain(seconds, itertools.repeat(seconds[-1]))

        def translate():
            taken = next(durations) * self._pace(self.now)
            self.now += taken
            if len(seconds) > 1:
                self.taken.append(taken)
            return (encoder * taken,)

        return translate

    def time(self, *translations, reference=0.02, repeats=6):
        return time_rounds(translations, self.work(reference), repeats, self.clock)


def test_a_steady_machine_needs_the_least_rounds():
    machine = Machine()
    found = machine.time(machine.work(0.05), machine.work(0.2, encoder=0.25))
    assert found.stable
    assert [timings[-1].p25 for timings in found.works] == pytest.approx([50, 200])
    assert found.works[1][0].p25 == pytest.approx(50)
    assert found.works[1][1].p25 == pytest.approx(150)
    assert [timings[-1].count for timings in found.works] == [ROUNDS, ROUNDS]
    assert found.reference.p25 == pytest.approx(20)
    assert found.works[0][-1].half_width == pytest.approx(0, abs=1e-9)


def test_the_lower_quartile_counts():
    machine = Machine()
    seconds = np.random.default_rng(4).lognormal(0, 0.3, 1000)
    found = machine.time(machine.work(*seconds), repeats=60).works[0][-1]
    counted = np.array(machine.taken)[-found.count :] * 1e3
    quartiles = np.quantile(counted.reshape(-1, 10), 0.25, axis=1)  # of each round
    assert found.p25 == pytest.approx(np.median(quartiles))
    assert (found.p10, found.median, found.p90) == pytest.approx(tuple(np.quantile(counted, (0.1, 0.5, 0.9))))
    assert quartiles.min() <= found.ci_low < found.p25 < found.ci_high <= quartiles.max()


def test_warm_up_is_not_counted_and_ends_once_stable():
    machine = Machine()
    found = machine.time(machine.work(9.0, 3.0, 1.5, 1.45, 1.0))  # 1.45 is within 10 % of 1.5
    assert found.works[0][-1].p90 == pytest.approx(1000)
    assert found.works[0][-1].count == ROUNDS


def test_warm_up_is_bounded():
    machine = Machine()
    found = machine.time(machine.work(*(2.0**run for run in range(MAX_WARM_UP)), 1.0))
    assert found.works[0][-1].p90 == pytest.approx(1000)


def test_there_are_at_least_so_many_repeats_and_short_translations_are_repeated_for_a_while():
    machine = Machine()
    found = machine.time(machine.work(1.0), machine.work(0.001), repeats=20)
    assert 20 <= found.works[0][-1].count < 20 + ROUNDS
    assert found.works[1][-1].count == pytest.approx(ROUNDS * BATCH_SECONDS / 0.001, abs=ROUNDS)


def test_drift_is_seen_by_the_reference_alike():
    """A machine that becomes half as fast meanwhile changes what the times are, but hardly their ratio."""
    machine = Machine(lambda now: 1 + min(now / 4, 1.0))
    found = machine.time(machine.work(0.1), repeats=12)
    assert found.works[0][-1].p25 / found.reference.p25 == pytest.approx(5, rel=0.02)


def test_a_burst_of_other_work_does_not_decide():
    machine = Machine(lambda now: 3.0 if 0.5 < now < 0.9 else 1.0)
    found = machine.time(machine.work(0.1))
    assert found.works[0][-1].p25 == pytest.approx(100, rel=0.03)


def test_rounds_go_on_while_it_is_unsteady_up_to_a_bound():
    rng = np.random.default_rng(1)
    machine = Machine()
    wild = machine.time(machine.work(*rng.uniform(0.5, 2.0, 1000)))
    assert not wild.stable
    assert wild.works[0][-1].count == MAX_ROUNDS
    unsteady = machine.time(machine.work(*rng.normal(1.0, 0.025, 1000)))
    assert unsteady.stable
    assert ROUNDS < unsteady.works[0][-1].count <= MAX_ROUNDS


def narrowest(values):
    """The interval of order statistics, by scipy's binomial distribution.

    The k-th smallest is above the median if fewer than k values lie below it, and the like from the other end.
    """
    count, ordered = len(values), sorted(values)
    k = max((k for k in range(1, count + 1) if binom.cdf(k - 1, count, 0.5) <= 0.025), default=1)
    return ordered[k - 1], ordered[-k]


@given(values=st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=60))
def test_the_interval_is_the_narrowest_of_order_statistics_with_95_percent(values):
    assert confidence_interval(values) == narrowest(values)


@pytest.mark.parametrize("count", [500, 5000])
def test_the_interval_of_many_values(count):
    assert confidence_interval(range(count)) == narrowest(range(count))


@pytest.mark.parametrize("repeats", [500, 5000])
def test_many_repeats(repeats):
    machine = Machine()
    found = machine.time(machine.work(1.0), repeats=repeats).works[0][-1]
    assert repeats <= found.count < repeats + ROUNDS
    assert (found.ci_low, found.p25, found.ci_high) == pytest.approx((1000, 1000, 1000))


def test_the_interval_holds_the_median_as_often_as_it_says():
    rng = np.random.default_rng(2)
    held = [low <= 1.0 <= high for low, high in map(confidence_interval, rng.lognormal(size=(4000, 24)))]
    assert 0.95 <= np.mean(held) < 0.985


class UnevenMachine(Machine):
    """Its pace, the same for all runs of a round, differs from round to round by `between`; each run's by `within`."""

    def __init__(self, seed, between, within):
        super().__init__()
        self._rng, self._between, self._within, self._round = np.random.default_rng(seed), between, within, 1.0

    def work(self, seconds):
        def translate():
            self.now += seconds * self._round * self._rng.lognormal(0, self._within)
            return (0.0,)

        return translate

    def time(self, seconds, repeats):
        reference = self.work(0.02)

        def next_round():
            self._round = self._rng.lognormal(0, self._between)
            return reference()

        return time_rounds([self.work(seconds)], next_round, repeats, self.clock)


def test_the_interval_covers_although_runs_of_a_round_share_a_pace_and_rounds_end_when_it_is_narrow():
    """With 3 % between rounds. An interval of all runs, taken for independent, would cover their quartile in 85 %."""
    between, within, runs = 0.03, 0.02, 4
    rng = np.random.default_rng(1)
    paces = rng.lognormal(0, between, (100_000, 1)) * rng.lognormal(0, within, (100_000, runs))
    true_ms = 100 * np.median(np.quantile(paces, 0.25, axis=1))
    found = [UnevenMachine(seed, between, within).time(0.1, runs * ROUNDS).works[0][-1] for seed in range(700)]
    assert {timing.count for timing in found} >= {runs * ROUNDS, runs * MAX_ROUNDS}  # some end early, others don't
    covered = np.mean([timing.ci_low <= true_ms <= timing.ci_high for timing in found])
    assert 0.93 <= covered <= 0.98


def test_the_last_of_any_number_of_phases_takes_the_rest():
    machine = Machine()

    def think_twice():
        machine.now += 0.07
        return 0.01, 0.02

    found = machine.time(think_twice, machine.work(0.05)).to_dict(("read", "think", "write"), [(1, 2, 3), (4, 5, 6)])
    of_three = found["lengths"][0]
    assert {phase: timing["p25"] for phase, timing in of_three["phases_ms"].items()} == {
        "read": pytest.approx(10),
        "think": pytest.approx(20),
        "write": pytest.approx(40),
    }
    assert of_three["lengths"] == {"read": 1, "think": 2, "write": 3}
    assert of_three["total_ms"]["p25"] == pytest.approx(70)


def test_work_of_one_phase_is_all_its():
    machine = Machine()

    def call():
        machine.now += 0.03
        return ()

    (only,) = machine.time(call).to_dict(("encode",), [(7,)])["lengths"]
    assert only["phases_ms"]["encode"] == only["total_ms"]
    assert only["total_ms"]["p25"] == pytest.approx(30)


def test_time_taken_by_others_does_not_count_for_a_single_thread():
    clock = clock_for(threads=1)

    def translate():
        start = clock()
        while clock() - start < 0.002:
            pass
        time.sleep(0.004)  # as if another process had the processor
        return (0.001,)

    found = time_rounds([translate], translate, 6, clock)
    assert found.works[0][-1].p25 == pytest.approx(2, rel=0.25)
    assert found.taken > 0.5


def test_several_threads_are_timed_by_the_wall():
    assert clock_for(threads=2) is time.perf_counter
    assert clock_for(threads=1, accelerator="cuda") is time.perf_counter
