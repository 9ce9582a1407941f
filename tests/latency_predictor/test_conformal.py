"""The upper bound holds as often as it claims, whatever the noise."""

import numpy as np
import pytest

from latency_predictor.fitting.conformal import CONFIDENCE, LEAST_SCORES, SURETY, held_out_bounds, quantile
from latency_predictor.fitting.features import AVERAGED, AveragedFeatures
from latency_predictor.fitting.predictor import LatencyPredictor


@pytest.mark.parametrize("count", [60, 130, 400])
def test_the_quantile_is_above_the_true_one_nine_times_of_ten(count):
    """Of uniform values the true quantile is 0.95 itself; no smaller one of the values would do."""
    rng = np.random.default_rng(1)
    draws = rng.random((4000, count))
    found = np.array([quantile(values) for values in draws])
    assert np.mean(found >= CONFIDENCE) == pytest.approx(1.0, abs=1 - SURETY + 0.01)
    smaller = np.array([values[values < top].max() for values, top in zip(draws, found, strict=True)])
    assert np.mean(smaller >= CONFIDENCE) < SURETY


def test_few_values_give_the_largest_and_none_is_below_the_prediction():
    assert quantile(np.arange(1.0, 45)) == 44
    assert quantile(np.arange(1.0, 46)) == 45
    assert 1 - CONFIDENCE ** (LEAST_SCORES - 1) < SURETY <= 1 - CONFIDENCE**LEAST_SCORES  # that the largest is above
    assert quantile(np.arange(1.0, 8)) == 7
    assert quantile(np.array([-3.0, -2.0])) == 0
    assert quantile(np.zeros(0)) == np.inf


def test_a_sample_has_no_part_in_its_own_bound():
    values = np.array([0.1, 0.2, 0.3, 9.0])
    folds = [(np.array([0, 1]), np.array([2, 3])), (np.array([2, 3]), np.array([0, 1]))]
    assert held_out_bounds(values, np.full(4, True), folds).tolist() == [9.0, 9.0, 0.2, 0.2]
    assert held_out_bounds(values, values < 1, folds).tolist() == [0.3, 0.3, 0.2, 0.2]


def _truth(matrix):
    return 5 + 4 * matrix[:, 0] * matrix[:, 1] + 10 * matrix[:, 5] * matrix[:, 4]


def _noisy(rng, count, kind):
    matrix = rng.uniform(1, 2, (count, len(AVERAGED)))
    truth = _truth(matrix)
    if kind == "grows":  # the slower, the noisier
        return matrix, truth * np.exp((truth / 800) * rng.standard_normal(count))
    return matrix, truth * (1 + 0.01 * rng.standard_normal(count)) * np.where(rng.random(count) < 0.15, 1.25, 1)


@pytest.mark.parametrize("kind", ["grows", "slow spells"])
@pytest.mark.parametrize("samples", [60, 150])
def test_the_bound_holds_as_often_as_claimed(kind, samples):
    """40 predictors, 250 fresh measurements each: at least 95 % below the bound, and for most predictors by itself."""
    held = []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        predictor = LatencyPredictor.fit_matrix(*_noisy(rng, samples, kind), seed, AveragedFeatures(), "ridge")
        matrix, measured = _noisy(rng, 250, kind)
        held.append(np.mean(measured <= predictor.upper_matrix(matrix)))
    assert CONFIDENCE < np.mean(held) < 0.99
    assert np.mean(np.array(held) >= CONFIDENCE - 0.02) >= 0.8  # 250 measurements have a chance of their own of 1.4 %


def test_samples_that_were_chosen_have_no_part_in_the_bound():
    """Where those chosen are the steady ones, a bound made of all holds too rarely; that of random ones holds."""
    held, at_random = {"at random": [], "all": []}, np.arange(240) % 4 == 0
    for seed in range(40):
        rng = np.random.default_rng(seed)
        matrix, measured = _noisy(rng, 240, "slow spells")
        measured = np.where(at_random, measured, _truth(matrix))
        fresh, fresh_ms = _noisy(rng, 250, "slow spells")
        for name, mask in (("at random", at_random), ("all", None)):
            predictor = LatencyPredictor.fit_matrix(matrix, measured, seed, AveragedFeatures(), "ridge", mask)
            held[name].append(np.mean(fresh_ms <= predictor.upper_matrix(fresh)))
    assert np.mean(held["at random"]) > CONFIDENCE
    assert np.mean(held["all"]) < 0.9


def test_mishaps_do_not_widen_the_bound():
    rng = np.random.default_rng(0)
    matrix, measured = _noisy(rng, 200, "grows")
    spoilt = measured * np.where(rng.random(200) < 0.1, 5, 1)
    fits = [LatencyPredictor.fit_matrix(matrix, each, 1, AveragedFeatures(), "ridge") for each in (measured, spoilt)]
    margins = [np.mean(each.upper_matrix(matrix) / each.predict_matrix(matrix) - 1) for each in fits]
    assert margins[1] == pytest.approx(margins[0], rel=0.35)


def test_the_bound_widens_where_samples_are_few():
    rng = np.random.default_rng(0)
    matrix, measured = _noisy(rng, 60, "grows")
    predictor = LatencyPredictor.fit_matrix(matrix, measured, 1, AveragedFeatures(), "ridge")
    inside, outside = np.full((1, len(AVERAGED)), 1.5), np.full((1, len(AVERAGED)), 4.0)
    margins = [predictor.upper_matrix(place) / predictor.predict_matrix(place) - 1 for place in (inside, outside)]
    assert 0 < 1.5 * margins[0] < margins[1]
