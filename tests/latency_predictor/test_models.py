"""Each model against scikit-learn, brute force or simulation; none goes mad far from the samples."""

import numpy as np
import pytest
import sklearn.ensemble
import sklearn.neural_network
from sklearn.linear_model import Ridge as SklearnRidge

from latency_predictor.fitting.features import Inputs
from latency_predictor.fitting.models import ridge as ridge_module
from latency_predictor.fitting.models.boosting import Boosting
from latency_predictor.fitting.models.network import Network
from latency_predictor.fitting.models.ridge import Ridge
from latency_predictor.fitting.outliers import inliers, mishaps

RNG = np.random.default_rng(0)
PHYSICAL = RNG.uniform(1, 3, (120, 4))
TRUTH = PHYSICAL @ [5.0, 2.0, 1.0, 0.5] + 3


def curved(count, seed=1):
    """Inputs and latencies that have no linear trend at all."""
    columns = np.random.default_rng(seed).uniform(-1, 1, (count, 2))
    return Inputs(columns, columns), 10 * np.exp(columns[:, 0] * columns[:, 1])


def relative_error(predicted, expected):
    return np.mean(np.abs(predicted / expected - 1))


def test_weighted_ridge_is_that_of_scikit_learn_with_the_penalty_of_brute_force():
    rng = np.random.default_rng(1)
    inputs, weights = rng.standard_normal((40, 6)), rng.uniform(0.2, 2, 40)
    targets = inputs @ rng.standard_normal(6) + 4 * rng.standard_normal(40)
    weights /= weights.mean()

    def generalised_error(penalty):
        """(n sum of squares) / (n - trace of the hat matrix)^2, the hat matrix column by column."""
        fits = [
            SklearnRidge(alpha=penalty).fit(inputs, unit, sample_weight=weights).predict(inputs)
            for unit in (*np.eye(40), targets)
        ]
        freedom = 40 - sum(fit[index] for index, fit in enumerate(fits[:-1]))
        return np.sum(weights * (targets - fits[-1]) ** 2) / freedom**2

    best = min(ridge_module.PENALTIES, key=generalised_error)
    found, penalty = ridge_module._solve(inputs, targets, weights)
    expected = SklearnRidge(alpha=best).fit(inputs, targets, sample_weight=weights)
    assert penalty == best
    np.testing.assert_allclose(found, [expected.intercept_, *expected.coef_], rtol=1e-9)


def test_a_sum_of_costs_is_found_exactly():
    model = Ridge.fit(PHYSICAL, TRUTH)
    far = np.array([[9.0, 9, 9, 9]])
    np.testing.assert_allclose(model.predict(far), far @ [5.0, 2.0, 1.0, 0.5] + 3, rtol=1e-3)


@pytest.mark.parametrize("factor", [3.0, 1.3, 0.3])
def test_disturbed_samples_do_not_pull(factor):
    rng = np.random.default_rng(2)
    measured = TRUTH * np.exp(0.02 * rng.standard_normal(120)) * np.where(rng.random(120) < 0.1, factor, 1)
    assert relative_error(Ridge.fit(PHYSICAL, measured).predict(PHYSICAL), TRUTH) < 0.01


def test_small_deviations_are_never_left_out():
    assert inliers(np.array([0.0, 0.0, 0.0, 0.09, -0.09])).all()
    assert inliers(np.array([0.0, 0.01, -0.01, 0.02, 2.0])).tolist() == [True] * 4 + [False]
    assert inliers(np.array([-0.4, -0.2, 0.0, 0.2, 0.4])).all()


def test_a_mishap_is_far_off_by_factor_and_by_what_most_are():
    predicted = np.full(20, 10.0)
    measured = np.where(np.arange(20) == 3, 30.0, np.where(np.arange(20) == 4, 15.0, 10.1))
    assert np.flatnonzero(mishaps(measured, predicted)).tolist() == [3]
    poor = 10.0 * np.geomspace(0.3, 3, 20)  # all are off: the model is poor, nothing went wrong
    assert not mishaps(poor, predicted).any()


def test_leverage_is_the_variance_of_predictions_over_that_of_the_noise():
    rng, places = np.random.default_rng(3), np.array([[2.0, 2, 2, 2], [3, 1, 3, 1], [5, 5, 1, 1]])
    exact, noise = Ridge.fit(PHYSICAL, TRUTH), 0.05
    fits = [
        Ridge.fit(PHYSICAL, TRUTH * (1 + noise * rng.standard_normal(120))).predict(places) / exact.predict(places)
        for _ in range(400)
    ]
    simulated = np.var(fits, axis=0) / noise**2
    np.testing.assert_allclose(exact.leverage(places), simulated, rtol=0.3)  # Huber's weights cost some 5 %
    assert (np.diff(exact.leverage(places)) > 0).all()


def test_never_negative_far_from_the_samples():
    matrix = np.linspace(0, 1, 40)[:, None]
    model = Ridge.fit(matrix, 1 + 10 * matrix[:, 0])
    far = np.linspace(-50, 50, 101)[:, None]
    assert (model.predict(far) > 0).all()
    assert (model.leverage(far) >= 0).all()


@pytest.mark.parametrize("seed", range(5))
def test_few_and_wild_samples_are_no_error(seed):
    rng = np.random.default_rng(seed)
    physical, latencies = rng.uniform(1, 2, (8, 16)), np.exp(rng.standard_cauchy(8).clip(-5, 5))
    model = Ridge.fit(physical, latencies)
    assert (model.predict(physical) > 0).all()
    assert np.isfinite(model.leverage(physical)).all()


def test_a_column_that_never_changes_is_far_off_when_it_does():
    physical = np.column_stack([PHYSICAL, np.full(120, 512.0)])
    model = Ridge.fit(physical, TRUTH)
    new = physical[:1] + [0, 0, 0, 0, 128]
    assert model.leverage(new) > 10 * model.leverage(physical).max()
    np.testing.assert_allclose(model.predict(new), model.predict(physical[:1]), rtol=1e-6)


def _remembered(monkeypatch, owner, name):
    """The scikit-learn models that are made while a test runs."""
    made, cls = [], getattr(owner, name)

    def make(**settings):
        made.append(cls(**settings))
        return made[-1]

    monkeypatch.setattr(owner, name, make)
    return made


def test_boosting_predicts_as_scikit_learn(monkeypatch):
    made = _remembered(monkeypatch, sklearn.ensemble, "GradientBoostingRegressor")
    inputs, latencies = curved(200)
    ridge = Ridge.fit(inputs.physical, latencies)
    base = ridge.predict(inputs.physical)
    found = Boosting.fit(inputs, latencies, ridge, seed=1).predict(inputs, base)
    np.testing.assert_allclose(found, base * np.exp(made[0].predict(inputs.all())), rtol=1e-9)


def test_the_quick_network_predicts_as_scikit_learn(monkeypatch):
    made = _remembered(monkeypatch, sklearn.neural_network, "MLPRegressor")
    inputs, latencies = curved(200)
    ridge = Ridge.fit(inputs.physical, latencies)
    base = ridge.predict(inputs.physical)
    network = Network.fit_quick(inputs, latencies, ridge, 1, penalty=1.0)
    rows = (inputs.all() - network.arrays["mean"]) / network.arrays["scale"]
    outputs = made[0].predict(rows.astype(np.float32)) * network.arrays["target_scale"] + network.arrays["target_mean"]
    np.testing.assert_allclose(network.predict(inputs, base), base * np.exp(outputs), rtol=1e-5)


def test_the_papers_network_has_three_hidden_layers_of_400_and_sees_raw_columns_alone():
    inputs, latencies = curved(300)
    ridge = Ridge.fit(inputs.physical, latencies)
    network = Network.fit_paper(Inputs(inputs.raw, inputs.physical * 0 + 1), latencies, ridge, seed=1)
    widths = [network.arrays[f"weight{layer}"].shape for layer in range(4)]
    assert widths == [(2, 400), (400, 400), (400, 400), (400, 1)]
    unseen, expected = curved(200, seed=2)
    assert relative_error(network.predict(unseen, np.ones(200)), expected) < 0.05


@pytest.mark.parametrize(("fit", "bound"), [(Boosting.fit, 0.12), (Network.fit_quick, 0.06)])
def test_corrections_learn_what_a_linear_model_cannot(fit, bound):
    inputs, latencies = curved(500)
    ridge = Ridge.fit(inputs.physical, latencies)
    model = fit(inputs, latencies, ridge, 1, *([1.0] if fit == Network.fit_quick else []))
    unseen, expected = curved(200, seed=2)
    base = ridge.predict(unseen.physical)
    assert relative_error(base, expected) > 0.2
    assert relative_error(model.predict(unseen, base), expected) < bound
