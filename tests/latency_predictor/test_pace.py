"""Drift of a device is found in the samples, and divided out as far as they follow the reference."""

import numpy as np
import pytest
from latency_runs import REFERENCE_MS, made_up_sample, make_run
from search_toys import SPACE, latency

from latency_predictor.fitting.pace import LEAST_SAMPLES, Pace, even_latencies_ms
from latency_predictor.sampling.lengths import run_lengths
from latency_predictor.sampling.sample import latencies_ms
from latency_predictor.sampling.selection import planned_architectures


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return make_run(tmp_path)


def drifting(run, paces, exponent, noise=0.005):
    """Samples of a device whose reference takes `paces` times as long as in most, and the others that to `exponent`."""
    rng = np.random.default_rng(5)
    samples = []
    for architecture, pace in zip(planned_architectures(SPACE, 1, len(paces)), paces, strict=True):
        sample = made_up_sample(run, architecture, latency(architecture), pace=pace)
        samples.append(sample.scaled(pace ** (exponent - 1) * rng.lognormal(0, noise)))
    return samples


def wandering(count):
    return np.exp(np.cumsum(np.random.default_rng(3).normal(0, 0.06, count)))


@pytest.mark.parametrize("exponent", [0.0, 0.5, 0.9])
def test_the_exponent_is_found(run, exponent):
    samples = drifting(run, wandering(120), exponent)
    assert Pace.of(samples, SPACE, run_lengths(run)).exponent == pytest.approx(exponent, abs=0.06)


def test_even_latencies_are_those_of_a_steady_device(run):
    paces = wandering(120)
    paces /= np.median(paces)
    samples = drifting(run, paces, 0.8, noise=0.0)
    true_ms = [latency(sample.architecture) for sample in samples]
    raw_ms = latencies_ms(samples, run_lengths(run))
    even_ms = even_latencies_ms(SPACE, samples, run_lengths(run))
    assert np.abs(raw_ms / true_ms - 1).mean() > 0.1
    assert np.abs(even_ms / true_ms - 1).mean() < 0.02


def test_a_disturbed_reference_alone_changes_little(run):
    """Nothing but the reference was slow now and then: its pace says nothing of the others."""
    paces = np.where(np.arange(120) % 7 == 0, 1.5, 1.0) * np.random.default_rng(2).lognormal(0, 0.01, 120)
    samples = drifting(run, paces, 0.0)
    assert Pace.of(samples, SPACE, run_lengths(run)).exponent < 0.1


@pytest.mark.parametrize("count", [5, LEAST_SAMPLES - 1])
def test_a_few_samples_follow_the_reference_fully(run, count):
    samples = drifting(run, wandering(count), 0.5)
    assert Pace.of(samples, SPACE, run_lengths(run)).exponent == 1.0


def test_a_pace_is_near_the_median_within_15_percent(run):
    pace = Pace(REFERENCE_MS, 1.0)
    samples = [made_up_sample(run, SPACE.largest(), 10.0, pace=factor) for factor in (0.8, 0.9, 1.0, 1.14, 1.2)]
    assert [pace.is_near(sample) for sample in samples] == [False, True, True, True, False]


def test_the_median_pace_is_that_of_most_samples(run):
    pace = Pace.of(drifting(run, [1.0, 1.4, 1.0, 1.0, 0.9], 1.0), SPACE, run_lengths(run))
    assert pace.median_ms == REFERENCE_MS
    slow = made_up_sample(run, SPACE.largest(), 12.0, pace=1.5)
    assert slow.timing(run_lengths(run)).p25 == pytest.approx(18.0)
    even = pace.even(slow)
    assert even.timing(run_lengths(run)).p25 == pytest.approx(12.0)
    assert even.lengths[0].phases_ms["encode"].p25 == pytest.approx(2.4)
    assert even.lengths[0].total_ms.ci_high == pytest.approx(12.0)
    assert even.reference_ms == slow.reference_ms  # as it was measured
