"""Latency from a feature matrix: a linear model of milliseconds, corrected by a small ensemble of MLPs.

Time is nearly a sum of what each layer costs, so a ridge regression (weighted for relative error) is a good start
from few samples and extrapolates sensibly. scikit-learn MLPs then learn the logarithm of measured over linear;
their L2 penalty is chosen by cross-validation, so they correct as much as the number and noise of samples support.
Samples that something else on the machine disturbed are left out first.
"""

import warnings

import numpy as np

HIDDEN_UNITS = 32
MEMBERS = 4
PENALTIES = (1.0, 3.0, 10.0, 30.0)  # L2 penalties of the MLPs to choose from
RIDGE_PENALTIES = tuple(10.0**exponent for exponent in range(-3, 4))
FOLDS = 5
ITERATIONS = 200
OUTLIER = 6.0  # times the median deviation: about four standard deviations of a normal distribution
SURELY_USUAL = 0.1  # deviations of about 10 % are never called outliers
TRIMMING_ROUNDS = 3

ARRAYS = (
    "feature_mean",  # (features,)
    "feature_scale",  # (features,)
    "linear_weight",  # (features,)
    "linear_bias",  # ()
    "linear_floor",  # () ms: the linear part never predicts less
    "correction_scale",  # ()
    "hidden_weight",  # (members, features, hidden)
    "hidden_bias",  # (members, hidden)
    "output_weight",  # (members, hidden)
    "output_bias",  # (members,)
)


class LatencyRegressor:
    """Predicts with numpy alone from the named `ARRAYS`; `fit` makes them with scikit-learn."""

    def __init__(self, arrays):
        self.arrays = arrays

    @classmethod
    def fit(cls, matrix, latencies_ms, seed):
        """Fit to `matrix` (samples, features) and `latencies_ms` (samples,), at least `FOLDS` samples."""
        import sklearn.neural_network  # noqa: F401  (threadpool_limits sees only libraries that are loaded)
        from threadpoolctl import threadpool_limits

        latencies_ms = np.asarray(latencies_ms, dtype=np.float64)
        with threadpool_limits(1):  # for matrices this small threads only wait for each other
            kept = _undisturbed(matrix, latencies_ms)
            matrix, latencies_ms = matrix[kept], latencies_ms[kept]
            errors = [_cross_validated(matrix, latencies_ms, penalty, seed) for penalty in PENALTIES]
            return cls(_fit_arrays(matrix, latencies_ms, PENALTIES[int(np.argmin(errors))], seed, MEMBERS))

    def predict(self, matrix):
        """Milliseconds (samples,) for `matrix` (samples, features)."""
        a = self.arrays
        inputs = (matrix - a["feature_mean"]) / a["feature_scale"]
        linear = _linear(inputs, a)
        hidden = np.maximum(np.einsum("sf,mfh->msh", inputs, a["hidden_weight"]) + a["hidden_bias"][:, None], 0)
        outputs = np.einsum("msh,mh->ms", hidden, a["output_weight"]) + a["output_bias"][:, None]
        return linear * np.exp(a["correction_scale"] * outputs.mean(axis=0))


def _cross_validated(matrix, latencies_ms, penalty, seed):
    """Mean squared error of the logarithm over held-out folds, with one MLP."""
    from sklearn.model_selection import KFold

    errors = []
    for fitted, held_out in KFold(min(FOLDS, len(matrix)), shuffle=True, random_state=seed).split(matrix):
        model = LatencyRegressor(_fit_arrays(matrix[fitted], latencies_ms[fitted], penalty, seed, members=1))
        errors.append(np.mean(np.log(model.predict(matrix[held_out]) / latencies_ms[held_out]) ** 2))
    return np.mean(errors)


def _undisturbed(matrix, latencies_ms):
    """Boolean (samples,): False where other work on the machine disturbed a measurement.

    Those are samples whose deviation from a linear fit to the others is far beyond what is usual among all.
    """
    mean, scale = _moments(matrix)
    inputs = (matrix - mean) / scale
    kept = np.ones(len(latencies_ms), bool)
    for _ in range(TRIMMING_ROUNDS):
        deviation = np.log(latencies_ms / _linear(inputs, _fit_linear(inputs[kept], latencies_ms[kept])))
        deviation = np.abs(deviation - np.median(deviation))
        kept = deviation <= max(OUTLIER * np.median(deviation), SURELY_USUAL)
    return kept


def _moments(matrix):
    mean, scale = matrix.mean(axis=0), matrix.std(axis=0)
    scale[scale == 0] = 1.0
    return mean, scale


def _linear(inputs, arrays):
    return np.maximum(inputs @ arrays["linear_weight"] + arrays["linear_bias"], arrays["linear_floor"])


def _fit_arrays(matrix, latencies_ms, penalty, seed, members):
    mean, scale = _moments(matrix)
    inputs = (matrix - mean) / scale
    arrays = {"feature_mean": mean, "feature_scale": scale, **_fit_linear(inputs, latencies_ms)}
    correction_scale = np.log(latencies_ms).std() or 1.0
    targets = np.log(latencies_ms / _linear(inputs, arrays)) / correction_scale
    networks = [_fit_network(inputs, targets, penalty, seed + member) for member in range(members)]
    arrays["correction_scale"] = np.array(correction_scale)
    arrays["hidden_weight"] = np.stack([network.coefs_[0] for network in networks])
    arrays["hidden_bias"] = np.stack([network.intercepts_[0] for network in networks])
    arrays["output_weight"] = np.stack([network.coefs_[1][:, 0] for network in networks])
    arrays["output_bias"] = np.stack([network.intercepts_[1][0] for network in networks])
    return arrays


def _fit_linear(inputs, latencies_ms):
    from sklearn.linear_model import RidgeCV

    relative = (latencies_ms.mean() / latencies_ms) ** 2
    ridge = RidgeCV(RIDGE_PENALTIES).fit(inputs, latencies_ms, sample_weight=relative)
    return {
        "linear_weight": ridge.coef_,
        "linear_bias": np.array(ridge.intercept_),
        "linear_floor": np.array(latencies_ms.min() / 2),
    }


def _fit_network(inputs, targets, penalty, seed):
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.neural_network import MLPRegressor

    network = MLPRegressor(
        hidden_layer_sizes=(HIDDEN_UNITS,), alpha=penalty, solver="lbfgs", max_iter=ITERATIONS, random_state=seed
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # stopping at ITERATIONS only regularises a little more
        return network.fit(inputs, targets)
