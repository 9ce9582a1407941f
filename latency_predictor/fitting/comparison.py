"""Which model suits the samples at hand: cross-validation, and the choice in one sentence."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from latency_predictor.fitting.features import Inputs
from latency_predictor.fitting.models.boosting import Boosting
from latency_predictor.fitting.models.network import QUICK_PENALTIES, Network
from latency_predictor.fitting.models.ridge import Ridge
from latency_predictor.fitting.outliers import mishaps

FOLDS = 5
LEAST_GAIN = 1e-3  # of relative error: no timer is surer, so less is no reason for another model
LEVEL_SLACK = 1.0025  # how much the RMSE may exceed the least possible one for the level to stay that of steady samples


@dataclass(frozen=True)
class Correction:
    """What makes a prediction of a ridge's one; `model` None leaves it as it is."""

    name: str
    model: Boosting | Network | None = None

    def predict(self, inputs: Inputs, ridge_ms: np.ndarray) -> np.ndarray:
        """Milliseconds (samples,)."""
        return ridge_ms if self.model is None else self.model.predict(inputs, ridge_ms)


@dataclass(frozen=True)
class CrossValidation:
    """Predictions of every sample by models that did not see it.

    predicted_ms {model: (samples,)}; levels {model: factor} for predictions of new architectures; leverage (samples,)
    in the ridge of the other folds; penalty: the quick MLP's, None if the paper's was validated.
    """

    predicted_ms: dict[str, np.ndarray]
    levels: dict[str, float]
    leverage: np.ndarray
    penalty: float | None


def folds(count: int, seed: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """[(indices of the fitted samples, indices of those held out)], each of `count` samples held out once."""
    held_out = np.array_split(np.random.default_rng(seed).permutation(count), min(FOLDS, count))
    return [(np.setdiff1d(np.arange(count), fold), fold) for fold in held_out]


def fit_correction(
    name: str, inputs: Inputs, latencies_ms: np.ndarray, ridge: Ridge, seed: int, penalty: float | None = None
) -> Correction:
    """The Correction `name` of `ridge`; 'mlp' is the paper's without a `penalty`, the quick one with."""
    if name == "ridge":
        return Correction(name)
    if name == "boosting":
        return Correction(name, Boosting.fit(inputs, latencies_ms, ridge, seed))
    if penalty is None:
        return Correction(name, Network.fit_paper(inputs, latencies_ms, ridge, seed))
    return Correction(name, Network.fit_quick(inputs, latencies_ms, ridge, seed, penalty))


def cross_validate(
    names: Sequence[str], inputs: Inputs, latencies_ms: np.ndarray, seed: int, quick: bool
) -> CrossValidation:
    """CrossValidation of the models `names`; with `quick` the MLP is the quick one, its penalty chosen on one fold."""
    count = len(latencies_ms)
    predicted, leverage = {name: np.zeros(count) for name in names}, np.zeros(count)
    penalty: float | None = None
    for fitted, fold in folds(count, seed):
        seen, unseen, targets = inputs.rows(fitted), inputs.rows(fold), latencies_ms[fitted]
        ridge = Ridge.fit(seen.physical, targets)
        ridge_ms, leverage[fold] = ridge.predict(unseen.physical), ridge.leverage(unseen.physical)
        if quick and penalty is None:
            penalty = _best_penalty(seen, targets, ridge, seed, unseen, latencies_ms[fold])
        for name in names:
            correction = fit_correction(name, seen, targets, ridge, seed, penalty)
            predicted[name][fold] = correction.predict(unseen, ridge_ms)
    levels = {name: level(latencies_ms, predicted[name]) for name in names}
    levelled = {name: _levelled(latencies_ms, predicted[name], seed) for name in names}
    return CrossValidation(levelled, levels, leverage, penalty)


def _levelled(measured_ms: np.ndarray, predicted_ms: np.ndarray, seed: int) -> np.ndarray:
    """`predicted_ms` (samples,), each fold times the level of the others."""
    result = np.zeros(len(predicted_ms))
    for others, fold in folds(len(predicted_ms), seed):
        result[fold] = predicted_ms[fold] * level(measured_ms[others], predicted_ms[others])
    return result


def _best_penalty(
    seen: Inputs, targets: np.ndarray, ridge: Ridge, seed: int, unseen: Inputs, measured_ms: np.ndarray
) -> float:
    ridge_ms = ridge.predict(unseen.physical)

    def error(penalty: float) -> float:
        network = Network.fit_quick(seen, targets, ridge, seed, penalty)
        return np.mean(np.abs(network.predict(unseen, ridge_ms) / measured_ms - 1))

    return min(QUICK_PENALTIES, key=error)


def level(measured_ms: np.ndarray, predicted_ms: np.ndarray) -> float:
    """The factor, mostly 1, that lifts predictions of steady samples towards the mean of all.

    Models are fitted to steady samples, but slow spells that return belong to a machine's latency. Of the factors that
    bring the squared error within LEVEL_SLACK of the least, the one closest to 1, as 1 has the least absolute error.
    Mishaps don't count.
    """
    kept = ~mishaps(measured_ms, predicted_ms)
    measured_ms, predicted_ms = measured_ms[kept], predicted_ms[kept]
    power = np.sum(predicted_ms**2)
    best = np.sum(measured_ms * predicted_ms) / power
    least = np.sum((measured_ms - best * predicted_ms) ** 2)
    reach = np.sqrt((LEVEL_SLACK**2 - 1) * least / power)  # the squared error is a parabola of the factor
    return float(np.clip(1.0, best - reach, best + reach))


def choose(measured_ms: np.ndarray, predicted_ms: Mapping[str, np.ndarray]) -> tuple[str, str]:
    """(name, one sentence why) of the simplest model whose error is within one standard error of the least.

    `predicted_ms` {model: (samples,)}; the error is the mean absolute relative one (the one-standard-error rule of
    Breiman et al., "Classification and regression trees", 1984). Gains below LEAST_GAIN don't count either.
    """
    relative = {name: np.abs(predicted / measured_ms - 1) for name, predicted in predicted_ms.items()}
    errors = {name: values.mean() for name, values in relative.items()}
    best = min(errors, key=lambda name: errors[name])
    limit = errors[best] + max(relative[best].std() / np.sqrt(len(measured_ms)), LEAST_GAIN)
    name = next(name for name in errors if errors[name] <= limit)
    others = " and ".join(f"{other} ({errors[other]:.2%})" for other in errors if other != name)
    if name == best:
        return name, f"{name} has the least cross-validated error, {errors[name]:.2%}, before {others}"
    return name, (
        f"{name} ({errors[name]:.2%} cross-validated error) is simpler than {best} ({errors[best]:.2%}), "
        f"which is better by less than one standard error or {LEAST_GAIN:.1%}"
    )
