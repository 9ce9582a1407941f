"""Ridge regression of milliseconds on physical features, made for relative error and robust to disturbed samples.

Time is nearly a sum of what each layer costs, so this needs few samples and extrapolates sensibly. It also knows where
it has seen little: the leverage of an architecture is the variance that its prediction has from the noise of the
samples, in units of the noise of one sample (Hoaglin and Welsch, "The hat matrix in regression and ANOVA", 1978).
"""

from typing import Any

import numpy as np

from latency_predictor.fitting.outliers import inliers

PENALTIES = tuple(10.0**exponent for exponent in range(-3, 4))
ROUNDS = 5  # of reweighting
HUBER = 1.345  # standard deviations from which on a deviation counts less: 95 % efficient with normal noise
SURELY_NOISE = 1e-3  # no timer is surer than that
MAD_TO_DEVIATION = 1.4826  # from the median absolute deviation to the standard deviation of normal noise


class Ridge:
    """Predicts with numpy alone from `arrays`.

    mean, scale (features,); weight (1 + features,), the constant first; floor () ms, below which it never predicts;
    covariance (1 + features, 1 + features) ms^2, for the leverage.
    """

    def __init__(self, arrays: dict[str, np.ndarray]) -> None:
        self.arrays = arrays

    @classmethod
    def fit(cls, physical: np.ndarray, latencies_ms: np.ndarray) -> "Ridge":
        """Fit to `physical` (samples, features) and `latencies_ms` (samples,).

        Squared relative errors are minimised by weighting, repeatedly, with the square of what was predicted before;
        Huber's weights and the leaving out of all but `inliers` keep disturbed samples from pulling.
        """
        mean, scale = moments(physical)
        inputs, floor = (physical - mean) / scale, latencies_ms.min() / 2
        expected, trust = latencies_ms, np.ones(len(latencies_ms))
        for _ in range(ROUNDS):
            relative = np.mean(expected) / expected
            weight, penalty = _solve(inputs, latencies_ms, trust * relative**2)
            expected = np.maximum(_with_constant(inputs) @ weight, floor)
            trust = _trust(latencies_ms / expected - 1)
        rows = _with_constant(inputs) * (np.sqrt(trust) / expected)[:, None]
        shrink = np.diag([0.0] + [penalty / np.mean(expected) ** 2] * inputs.shape[1])
        covariance = np.linalg.pinv(rows.T @ rows + shrink, hermitian=True)
        return cls({"mean": mean, "scale": scale, "weight": weight, "floor": floor, "covariance": covariance})

    def predict(self, physical: np.ndarray) -> np.ndarray:
        """Milliseconds (samples,) for `physical` (samples, features)."""
        return np.maximum(self._rows(physical) @ self.arrays["weight"], self.arrays["floor"])

    def leverage(self, physical: np.ndarray) -> np.ndarray:
        """Of each row of `physical` (samples, features), as an architecture that wasn't fitted: (samples,), >= 0."""
        rows = self._rows(physical) / self.predict(physical)[:, None]
        return np.maximum(np.einsum("si,ij,sj->s", rows, self.arrays["covariance"], rows), 0)

    def _rows(self, physical: np.ndarray) -> np.ndarray:
        return _with_constant((physical - self.arrays["mean"]) / self.arrays["scale"])


def moments(matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(mean, scale) of each column; the scale of one that never changes is its size."""
    mean, scale = matrix.mean(axis=0), matrix.std(axis=0)
    constant = scale <= 1e-9 * np.abs(mean)
    return mean, np.where(constant, np.maximum(np.abs(mean), 1.0), scale)


def _trust(deviation: np.ndarray) -> np.ndarray:
    """Huber's weights of relative deviations, 0 for outliers."""
    distance = np.abs(deviation - np.median(deviation))
    limit = max(HUBER * MAD_TO_DEVIATION * np.median(distance), SURELY_NOISE)
    return np.where(inliers(deviation), limit / np.maximum(distance, limit), 0.0)


def _with_constant(inputs: np.ndarray) -> np.ndarray:
    return np.column_stack([np.ones(len(inputs)), inputs])


def _solve(inputs: np.ndarray, targets: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, float]:
    """(weight (1 + features,), penalty): weighted ridge, its penalty chosen by generalised cross-validation.

    Golub, Heath and Wahba, "Generalized cross-validation as a method for choosing a good ridge parameter", 1979.
    """
    weights = weights / weights.mean()
    count = np.count_nonzero(weights)
    center, level = np.average(inputs, axis=0, weights=weights), np.average(targets, weights=weights)
    root = np.sqrt(weights)
    rows, goal = root[:, None] * (inputs - center), root * (targets - level)
    left, singular, right = np.linalg.svd(rows, full_matrices=False)
    projected = left.T @ goal
    best: tuple[float, Any, Any] = (np.inf, None, None)
    for penalty in PENALTIES:
        kept = singular**2 / (singular**2 + penalty)
        residual = goal - left @ (kept * projected)
        freedom = count - 1 - kept.sum()
        score = np.sum(residual**2) / freedom**2 if freedom > 0 else np.inf
        if score < best[0] or best[1] is None:
            slope = right.T @ (singular / (singular**2 + penalty) * projected)
            best = (score, slope, penalty)
    _, slope, penalty = best
    return np.concatenate([[level - center @ slope], slope]), penalty
