"""Latencies of bundles that take turns on a machine that changes its pace."""

import numpy as np
import pytest

from latency_predictor.sampling.turns import at_one_pace

ROUNDS, SENTENCES, BLOCK = 5, 100, 5


def on_a_machine_of_two_paces(true_ms, seed):
    """Calls (rounds, bundles, sentences), 2 % of noise each; stretches of some 30 in a row take 1.45 times as long."""
    rng = np.random.default_rng(seed)
    bundles, sentences = true_ms.shape
    slow, pace = False, np.empty((ROUNDS, sentences // BLOCK, bundles, BLOCK))
    for at in np.ndindex(pace.shape):
        slow = slow if rng.random() < 1 - 1 / 30 else not slow
        pace[at] = 1.45 if slow else 1.0
    pace = pace.transpose(0, 2, 1, 3).reshape(ROUNDS, bundles, sentences)
    return true_ms * pace * rng.normal(1, 0.02, pace.shape)


def mean_error(lengths, bundles, quantile, change):
    """Of the bundles' shares of the first one's latency, over 40 machines; `change` is done to the calls."""
    true_ms = np.linspace(1, 0.3, bundles)[:, None] * lengths
    true = np.quantile(true_ms, quantile, axis=1)
    errors = []
    for seed in range(40):
        calls_ms = change(on_a_machine_of_two_paces(true_ms, seed))
        ms = np.median(np.quantile(calls_ms, quantile, axis=2), axis=0)
        errors.append(np.abs(ms / ms[0] / (true / true[0]) - 1)[1:].mean())
    return float(np.mean(errors))


@pytest.mark.parametrize("bundles", [2, 4, 8])
def test_shares_of_calls_of_one_length_are_less_than_half_as_wrong(bundles):
    """As language models' are: as they are, one bundle's median call may be a slow one and another's a fast one."""
    lengths = np.ones(SENTENCES)
    paced, raw = (mean_error(lengths, bundles, 0.5, change) for change in (at_one_pace, lambda calls_ms: calls_ms))
    assert paced < raw / 2


@pytest.mark.parametrize("quantile", [0.5, 0.9])
@pytest.mark.parametrize("bundles", [2, 4, 8])
@pytest.mark.parametrize("spread", [0.0, 0.5])
def test_shares_are_about_those_of_a_steady_machine(spread, bundles, quantile):
    lengths = np.random.default_rng(1).lognormal(0, spread, SENTENCES)
    assert mean_error(lengths, bundles, quantile, at_one_pace) < 0.05


def test_a_steady_machine_changes_nothing():
    calls_ms = np.random.default_rng(1).lognormal(0, 0.5, (1, 3, 17)).repeat(ROUNDS, axis=0)
    np.testing.assert_allclose(at_one_pace(calls_ms), calls_ms)


def test_a_call_that_was_delayed_stays_slow_and_leaves_the_others_alone():
    calls_ms = np.ones((ROUNDS, 3, 20))
    calls_ms[2, 1, 7] = 30.0
    np.testing.assert_allclose(at_one_pace(calls_ms), calls_ms)


def test_what_a_whole_round_took_longer_is_taken_out_of_all_its_calls():
    calls_ms = np.arange(1.0, 13.0) * np.array([1.0, 1.0, 2.0, 0.5, 1.0])[:, None, None] * np.ones((1, 2, 1))
    np.testing.assert_allclose(at_one_pace(calls_ms), np.broadcast_to(np.arange(1.0, 13.0), (ROUNDS, 2, 12)))
