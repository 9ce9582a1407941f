"""The predictor: exact after saving, free of pickle, sensible from few and from disturbed samples."""

import json
import subprocess
import sys

import numpy as np
import pytest
from search_toys import SPACE, latency
from tiny import TINY_SPACE

from hat.errors import ArtifactError, UsageError
from latency_predictor import regression
from latency_predictor.collect import planned_architectures
from latency_predictor.features import AveragedFeatures, PerLayerFeatures
from latency_predictor.predictor import LatencyPredictor
from latency_predictor.regression import LatencyRegressor

FEATURES = PerLayerFeatures(SPACE)
ARCHITECTURES = planned_architectures(SPACE, seed=1, count=260)
LATENCIES = np.array([latency(architecture) for architecture in ARCHITECTURES])


def fit(count, noise=0.02, disturbed=0.0, seed=1):
    """A predictor of the first `count` architectures, some of them measured three times too slow."""
    rng = np.random.default_rng(seed)
    measured = LATENCIES[:count] * np.exp(noise * rng.standard_normal(count))
    measured = measured * np.where(rng.random(count) < disturbed, 3, 1)
    return LatencyPredictor.fit(ARCHITECTURES[:count], measured, seed, FEATURES)


def error_of(predictor):
    """Mean absolute error, relative to the true latency, on architectures that weren't fitted."""
    return np.mean(np.abs(predictor.predict(ARCHITECTURES[200:]) / LATENCIES[200:] - 1))


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    directory = tmp_path_factory.mktemp("predictor")
    predictor = fit(60)
    predictor.save(directory)
    return predictor, directory


@pytest.mark.parametrize(("count", "bound"), [(60, 0.035), (200, 0.02)])
def test_few_samples_suffice(count, bound):
    assert error_of(fit(count)) < bound


@pytest.mark.parametrize("count", [60, 200])
def test_disturbed_samples_do_little_harm(count):
    assert error_of(fit(count, disturbed=0.1)) < 0.05


def test_the_networks_learn_what_a_linear_model_cannot():
    rng = np.random.default_rng(0)
    matrix = rng.uniform(-1, 1, (600, 2))
    curved = 10 * np.exp(matrix[:, 0] * matrix[:, 1])  # no linear trend at all
    model = LatencyRegressor.fit(matrix[:500], curved[:500], seed=1)
    assert np.mean(np.abs(model.predict(matrix[500:]) / curved[500:] - 1)) < 0.05


@pytest.mark.parametrize("seed", range(5))
def test_wild_samples_are_no_error(seed):
    rng = np.random.default_rng(seed)
    matrix, latencies = FEATURES.matrix(ARCHITECTURES[:8]), np.exp(rng.standard_cauchy(8).clip(-5, 5))
    assert (LatencyRegressor.fit(matrix, latencies, seed).predict(matrix) > 0).all()


def test_never_negative_far_from_the_samples():
    matrix = np.linspace(0, 1, 40)[:, None]
    model = LatencyRegressor.fit(matrix, 1 + 10 * matrix[:, 0], seed=1)
    assert (model.predict(np.linspace(-50, 50, 101)[:, None]) > 0).all()


def test_numpy_predicts_as_scikit_learn(monkeypatch):
    networks = []

    def remember(*arguments, fit_network=regression._fit_network):
        networks.append(fit_network(*arguments))
        return networks[-1]

    monkeypatch.setattr(regression, "_fit_network", remember)
    matrix = FEATURES.matrix(ARCHITECTURES[:60])
    model = LatencyRegressor.fit(matrix, LATENCIES[:60], seed=1)
    inputs = (matrix - model.arrays["feature_mean"]) / model.arrays["feature_scale"]
    correction = np.mean([network.predict(inputs) for network in networks[-regression.MEMBERS :]], axis=0)
    linear = inputs @ model.arrays["linear_weight"] + model.arrays["linear_bias"]
    expected = linear * np.exp(model.arrays["correction_scale"] * correction)
    np.testing.assert_allclose(model.predict(matrix), expected, rtol=1e-9)


def test_the_same_seed_gives_the_same_predictor(saved):
    np.testing.assert_array_equal(fit(60).predict(ARCHITECTURES), saved[0].predict(ARCHITECTURES))


def test_loaded_predicts_exactly_as_saved(saved):
    predictor, directory = saved
    loaded = LatencyPredictor.load(directory)
    np.testing.assert_array_equal(loaded.predict(ARCHITECTURES), predictor.predict(ARCHITECTURES))
    assert loaded.predict([]).shape == (0,)


def test_averaged_features_are_saved_too(tmp_path):
    features = AveragedFeatures()
    predictor = LatencyPredictor.fit(ARCHITECTURES[:60], LATENCIES[:60], 1, features)
    predictor.save(tmp_path)
    np.testing.assert_array_equal(
        LatencyPredictor.load(tmp_path).predict(ARCHITECTURES), predictor.predict(ARCHITECTURES)
    )


def test_it_predicts_without_scikit_learn_and_without_pickle(saved):
    _, directory = saved
    assert sorted(path.name for path in directory.iterdir()) == ["predictor.json", "weights.npz"]
    code = (
        "import sys\n"
        "from latency_predictor.predictor import LatencyPredictor\n"
        f"predictor = LatencyPredictor.load({str(directory)!r})\n"
        "assert predictor.predict([predictor.features.space.largest()]) > 0\n"
        "assert not {'sklearn', 'scipy', 'torch'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    with np.load(directory / "weights.npz", allow_pickle=False) as stored:
        assert all(stored[name].dtype == np.float64 for name in stored.files)


def test_an_architecture_outside_of_the_space_is_refused(saved):
    with pytest.raises(UsageError, match="qkv_dim 16 differs"):
        saved[0].predict([SPACE.largest(), TINY_SPACE.largest()])


def _edit(directory, **changes):
    path = directory / "predictor.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda folder: (folder / "predictor.json").unlink(), "is missing"),
        (lambda folder: (folder / "weights.npz").unlink(), "is missing"),
        (lambda folder: (folder / "predictor.json").write_text('{"format"'), "not valid JSON"),
        (lambda folder: (folder / "predictor.json").write_text("[]"), "not a latency predictor"),
        (lambda folder: (folder / "weights.npz").write_bytes(b"PK"), "damaged or belongs to another"),
        (lambda folder: _edit(folder, version=99), "format version 99"),
        (lambda folder: _edit(folder, format="other"), "not a latency predictor"),
        (lambda folder: _edit(folder, feature_names=["a"]), "other features"),
        (lambda folder: _edit(folder, space={"qkv_dim": 1}), "'encoder' is missing"),
    ],
)
def test_a_damaged_predictor_is_refused_with_the_remedy(tmp_path, damage, message):
    LatencyPredictor(FEATURES, saved_regressor()).save(tmp_path)
    damage(tmp_path)
    with pytest.raises(ArtifactError, match=message) as error:
        LatencyPredictor.load(tmp_path)
    assert "run hat-fit-predictor again" in str(error.value)


def saved_regressor():
    """A regressor of the right shapes that predicts nothing sensible."""
    width, hidden = len(FEATURES.names), 3
    shapes = {
        "feature_mean": (width,),
        "feature_scale": (width,),
        "linear_weight": (width,),
        "hidden_weight": (1, width, hidden),
        "hidden_bias": (1, hidden),
        "output_weight": (1, hidden),
        "output_bias": (1,),
    }
    return LatencyRegressor({name: np.ones(shapes.get(name, ())) for name in regression.ARRAYS})
