"""The comparison keeps the model that suits the samples, and the level is where errors are least."""

import numpy as np
import pytest
from scipy.optimize import minimize_scalar

from latency_predictor.fitting.comparison import LEVEL_SLACK, choose, folds, level
from latency_predictor.fitting.features import AVERAGED, AveragedFeatures
from latency_predictor.fitting.predictor import LatencyPredictor

FEATURES = AveragedFeatures()


def made_up(count, latency, seed=0):
    """Raw features and latencies with 1 % noise; `latency` is made of a matrix of columns between 1 and 2."""
    rng = np.random.default_rng(seed)
    matrix = rng.uniform(1, 2, (count, len(AVERAGED)))
    return matrix, latency(matrix) * np.exp(0.01 * rng.standard_normal(count))


def test_a_sum_of_costs_needs_no_more_than_a_ridge():
    predictor = LatencyPredictor.fit_matrix(*made_up(200, lambda x: 5 + x[:, 0] * x[:, 1] + x[:, 5]), 1, FEATURES)
    assert predictor.model == "ridge"
    assert set(predictor.comparison) == {"ridge", "boosting", "mlp"}
    assert "ridge" in predictor.why


def test_what_a_ridge_cannot_learn_is_corrected():
    matrix, latencies = made_up(400, lambda x: np.exp(2 * np.sin(6 * x[:, 4])) + 3)
    predictor = LatencyPredictor.fit_matrix(matrix, latencies, 1, FEATURES)
    assert predictor.model != "ridge"
    assert predictor.comparison[predictor.model]["mape"] < 0.5 * predictor.comparison["ridge"]["mape"]
    unseen, expected = made_up(100, lambda x: np.exp(2 * np.sin(6 * x[:, 4])) + 3, seed=1)
    ridge = LatencyPredictor.fit_matrix(matrix, latencies, 1, FEATURES, "ridge")
    errors = [np.mean(np.abs(model.predict_matrix(unseen) / expected - 1)) for model in (predictor, ridge)]
    assert errors[0] < 0.5 * errors[1]


def test_the_simplest_within_one_standard_error_is_kept():
    rng = np.random.default_rng(0)
    measured = np.full(400, 10.0)
    noise = 1 + 0.05 * rng.standard_normal(400)
    near = {"ridge": 10 * noise, "boosting": 10 * (1 + 0.99 * (noise - 1)), "mlp": 10 * (1 + 0.98 * (noise - 1))}
    name, why = choose(measured, near)
    assert name == "ridge"
    assert "simpler than mlp" in why
    name, why = choose(measured, near | {"boosting": 10 * (1 + 0.5 * (noise - 1))})
    assert name == "boosting"
    assert "least cross-validated error" in why


@pytest.mark.parametrize("count", [10, 23])
def test_each_sample_is_held_out_once(count):
    splits = folds(count, seed=1)
    assert sorted(np.concatenate([held_out for _, held_out in splits])) == list(range(count))
    for fitted, held_out in splits:
        assert sorted([*fitted, *held_out]) == list(range(count))


def test_the_level_of_steady_samples_is_one():
    rng = np.random.default_rng(0)
    predicted = rng.uniform(10, 20, 500)
    assert level(predicted * (1 + 0.02 * rng.standard_normal(500)), predicted) == pytest.approx(1, abs=0.002)


def test_the_level_follows_slow_spells_as_far_as_the_squared_error_wants():
    rng = np.random.default_rng(0)
    predicted = rng.uniform(10, 20, 500)
    measured = predicted * np.where(rng.random(500) < 0.2, 1.25, 1)

    def rmse(factor):
        return np.sqrt(np.mean((measured - factor * predicted) ** 2))

    best = minimize_scalar(rmse, bounds=(0.5, 2), method="bounded").x
    found = level(measured, predicted)
    assert 1 < found < best
    assert rmse(found) == pytest.approx(LEVEL_SLACK * rmse(best), rel=1e-6)


def test_mishaps_do_not_move_the_level():
    predicted = np.full(100, 10.0)
    measured = np.where(np.arange(100) < 10, 30.0, predicted)
    assert level(measured, predicted) == 1
