"""The predictor: exact after saving, free of pickle, sensible from few and from disturbed samples."""

import json
import subprocess
import sys
import time

import numpy as np
import pytest
from search_toys import SPACE, latency
from tiny import TINY_SPACE

from hat import files
from hat.errors import ArtifactError, UsageError
from latency_predictor.fitting.features import AveragedFeatures, PerLayerFeatures
from latency_predictor.fitting.models import MODELS
from latency_predictor.fitting.predictor import LatencyPredictor
from latency_predictor.sampling.selection import planned_architectures

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


def test_out_of_fold_errors_are_those_of_fresh_architectures():
    predictor = fit(200, noise=0.03)
    noise = np.random.default_rng(1).standard_normal(200)  # the one that `fit` drew
    measured = LATENCIES[:200] * np.exp(0.03 * noise)
    mape = np.mean(np.abs(predictor.out_of_fold / measured - 1))
    assert predictor.comparison[predictor.model]["mape"] == pytest.approx(mape)
    assert mape == pytest.approx(0.03 * np.sqrt(2 / np.pi), rel=0.2)  # what such noise alone makes


def test_the_upper_bound_holds_for_fresh_measurements():
    rng, held = np.random.default_rng(0), []
    for seed in range(10):
        measured = LATENCIES[200:] * np.exp(0.05 * rng.standard_normal(60))
        held.append(np.mean(measured <= fit(200, noise=0.05, seed=seed).upper(ARCHITECTURES[200:])))
    assert np.mean(held) == pytest.approx(0.95, abs=0.025)


def _is_small(architecture):
    return architecture.decoder.layers == 1 and architecture.encoder.embed_dim == 16


def test_what_was_not_measured_is_less_certain_and_told():
    small = [index for index, architecture in enumerate(ARCHITECTURES) if _is_small(architecture)]
    fitted = [ARCHITECTURES[index] for index in small]
    predictor = LatencyPredictor.fit(fitted, LATENCIES[small], 1, FEATURES)
    others = [architecture for architecture in ARCHITECTURES if not _is_small(architecture)]
    assert predictor.extrapolates(others).all()
    assert predictor.extrapolates(fitted).mean() < 0.1
    assert np.median(predictor.uncertainty(others)) > 3 * np.median(predictor.uncertainty(fitted))
    margin = [np.median(predictor.upper(some) / predictor.predict(some)) - 1 for some in (others, fitted)]
    assert margin[0] > 3 * margin[1] > 0


def test_within_what_was_measured_nothing_is_called_extrapolation():
    assert fit(200).extrapolates(ARCHITECTURES[200:]).mean() < 0.03


@pytest.mark.parametrize("count", [40, 200])
def test_the_uncertainty_is_the_error_to_expect(count):
    rng, expected, found = np.random.default_rng(0), [], []
    for seed in range(8):
        predictor = fit(count, noise=0.05, seed=seed)
        measured = LATENCIES[200:] * np.exp(0.05 * rng.standard_normal(60))
        expected.append(predictor.uncertainty(ARCHITECTURES[200:]).mean())
        found.append(np.mean((measured / predictor.predict(ARCHITECTURES[200:]) - 1) ** 2))
    assert np.mean(expected) == pytest.approx(np.sqrt(np.mean(found)), rel=0.15)


@pytest.mark.parametrize("model", [model for model in MODELS if model != "mlp"])
def test_a_model_can_be_asked_for(model):
    predictor = LatencyPredictor.fit(ARCHITECTURES[:60], LATENCIES[:60], 1, FEATURES, model)
    assert (predictor.model, list(predictor.comparison)) == (model, [model])
    assert "asked for" in predictor.why


def test_an_unknown_model_is_refused():
    with pytest.raises(UsageError, match="'forest' is unknown; use auto, ridge, boosting, mlp"):
        LatencyPredictor.fit(ARCHITECTURES[:20], LATENCIES[:20], 1, FEATURES, "forest")


@pytest.mark.slow
def test_the_papers_mlp_predicts(tmp_path):
    predictor = LatencyPredictor.fit(ARCHITECTURES[:200], LATENCIES[:200], 1, FEATURES, "mlp")
    assert error_of(predictor) < 0.06
    predictor.save(tmp_path)
    loaded = LatencyPredictor.load(tmp_path)
    np.testing.assert_array_equal(loaded.upper(ARCHITECTURES), predictor.upper(ARCHITECTURES))


def test_a_thousand_predictions_are_no_wait():
    predictor = fit(60)
    start = time.perf_counter()
    predictor.upper(ARCHITECTURES[:250] * 4)
    assert time.perf_counter() - start < 0.5  # 0.01 s on a machine that does nothing else


def test_the_same_seed_gives_the_same_predictor(saved):
    np.testing.assert_array_equal(fit(60).predict(ARCHITECTURES), saved[0].predict(ARCHITECTURES))


METHODS = ("predict", "upper", "uncertainty", "extrapolates")


@pytest.mark.parametrize("model", ["ridge", "boosting"])
def test_loaded_is_exactly_as_saved(tmp_path, model):
    predictor = LatencyPredictor.fit(ARCHITECTURES[:60], LATENCIES[:60], 1, FEATURES, model)
    predictor.save(tmp_path)
    loaded = LatencyPredictor.load(tmp_path)
    for method in METHODS:
        np.testing.assert_array_equal(getattr(loaded, method)(ARCHITECTURES), getattr(predictor, method)(ARCHITECTURES))
        assert getattr(loaded, method)([]).shape == (0,)
    assert (loaded.model, loaded.why, loaded.comparison) == (model, predictor.why, predictor.comparison)
    np.testing.assert_array_equal(loaded.out_of_fold, predictor.out_of_fold)
    np.testing.assert_array_equal(loaded.out_of_fold_upper, predictor.out_of_fold_upper)


def test_averaged_features_are_saved_too(tmp_path):
    features = AveragedFeatures()
    predictor = LatencyPredictor.fit(ARCHITECTURES[:60], LATENCIES[:60], 1, features)
    predictor.save(tmp_path)
    loaded = LatencyPredictor.load(tmp_path)
    for method in METHODS:
        np.testing.assert_array_equal(getattr(loaded, method)(ARCHITECTURES), getattr(predictor, method)(ARCHITECTURES))


def test_it_predicts_without_scikit_learn_and_without_pickle(saved):
    _, directory = saved
    assert sorted(path.name for path in directory.iterdir()) == ["predictor.json", "weights.npz"]
    code = (
        "import sys\n"
        "from latency_predictor.fitting.predictor import LatencyPredictor\n"
        f"predictor = LatencyPredictor.load({str(directory)!r})\n"
        "assert predictor.upper([predictor.features.space.largest()]) > 0\n"
        "assert not {'sklearn', 'scipy', 'torch'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    with np.load(directory / "weights.npz", allow_pickle=False) as stored:
        assert all(stored[name].dtype.kind in "fib" for name in stored.files)


def test_an_architecture_outside_of_the_space_is_refused(saved):
    for method in METHODS:
        with pytest.raises(UsageError, match="qkv_dim 16 differs"):
            getattr(saved[0], method)([SPACE.largest(), TINY_SPACE.largest()])


def _edit(directory, **changes):
    path = directory / "predictor.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def _replace_weights(directory, **arrays):
    """Other arrays under a right checksum."""
    np.savez(directory / "weights.npz", allow_pickle=True, **arrays)
    _edit(directory, weights_sha256=files.sha256_of_file(directory / "weights.npz"))


SMALL = LatencyPredictor.fit(ARCHITECTURES[:20], LATENCIES[:20], 1, FEATURES, "ridge")


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda folder: (folder / "predictor.json").unlink(), "is missing"),
        (lambda folder: (folder / "weights.npz").unlink(), "is missing"),
        (lambda folder: (folder / "predictor.json").write_text('{"format"'), "not valid JSON"),
        (lambda folder: (folder / "predictor.json").write_text("[]"), "not a latency predictor"),
        (lambda folder: (folder / "weights.npz").write_bytes(b"PK"), "damaged or belongs to another"),
        (lambda folder: _edit(folder, version=99), "format version 99"),
        (lambda folder: _edit(folder, version=1), "format version 1, not 3"),
        (lambda folder: _edit(folder, model="forest"), "does not describe a predictor"),
        (lambda folder: _edit(folder, model="boosting"), "does not describe a predictor"),
        (lambda folder: _edit(folder, findings=[]), "does not describe a predictor"),
        (lambda folder: _replace_weights(folder, wrong=np.zeros(3)), "does not describe a predictor"),
        (lambda folder: _replace_weights(folder, wrong=np.array([{}])), "not a predictor's weights"),
        (lambda folder: _edit(folder, format="other"), "not a latency predictor"),
        (lambda folder: _edit(folder, feature_names=["a"]), "other features"),
        (lambda folder: _edit(folder, space={"qkv_dim": 1}), "needs an encoder or a decoder"),
    ],
)
def test_a_damaged_predictor_is_refused_with_the_remedy(tmp_path, damage, message):
    SMALL.save(tmp_path)
    damage(tmp_path)
    with pytest.raises(ArtifactError, match=message) as error:
        LatencyPredictor.load(tmp_path)
    assert "run hat-fit-predictor again" in str(error.value)
    assert "\n" not in str(error.value)
