"""MLPs: the paper's (three hidden layers of 400), and a small quick one that corrects a ridge.

The paper's sees the raw columns and predicts the logarithm of milliseconds by itself. It is trained with modern means
(standardised inputs and targets, Adam with a falling rate), so that it takes seconds. The quick one, one hidden layer
fitted by L-BFGS, learns what a ridge leaves; it is fast enough to be compared by cross-validation.
"""

import warnings
from collections.abc import Iterable
from typing import Any

import numpy as np

from latency_predictor.fitting.features import Inputs
from latency_predictor.fitting.models.ridge import Ridge, moments
from latency_predictor.fitting.outliers import inliers

PAPER_LAYERS = (400, 400, 400)
PAPER_STEPS = ((1e-3, 200), (3e-4, 60), (1e-4, 30))  # (Adam's rate, steps), one after the other
PAPER_BATCH = 64
PAPER_PENALTY = 1e-3
QUICK_LAYERS = (32,)
QUICK_PENALTIES = (1.0, 10.0, 100.0)  # L2 penalties to choose from
QUICK_ITERATIONS = 50


class Network:
    """Predicts with numpy alone from `arrays`.

    mean, scale (columns,); weight0, bias0, weight1, ... of the layers; target_mean, target_scale () of the logarithm;
    corrects () is 1 if the logarithm is that of measured over the ridge's prediction, and columns are raw and
    physical; 0 if it is that of milliseconds, and columns are raw.
    """

    def __init__(self, arrays: dict[str, np.ndarray]) -> None:
        self.arrays = arrays

    @classmethod
    def fit_paper(cls, inputs: Inputs, latencies_ms: np.ndarray, ridge: Ridge, seed: int) -> "Network":
        """The paper's, fitted to Inputs and `latencies_ms` (samples,); `ridge` only tells disturbed samples."""
        from sklearn.neural_network import MLPRegressor

        kept = inliers(latencies_ms / ridge.predict(inputs.physical) - 1)
        batch = min(PAPER_BATCH, int(kept.sum()))
        network = MLPRegressor(
            hidden_layer_sizes=PAPER_LAYERS,
            alpha=PAPER_PENALTY,
            batch_size=batch,
            n_iter_no_change=1000,
            warm_start=True,
            random_state=seed,
        )
        stages = [
            {"learning_rate_init": rate, "max_iter": -(-steps * batch // int(kept.sum()))}
            for rate, steps in PAPER_STEPS
        ]
        return cls._fit(network, stages, inputs.raw[kept], np.log(latencies_ms[kept]), corrects=False)

    @classmethod
    def fit_quick(cls, inputs: Inputs, latencies_ms: np.ndarray, ridge: Ridge, seed: int, penalty: float) -> "Network":
        """The quick one, fitted to what `ridge` leaves of `latencies_ms` (samples,)."""
        from sklearn.neural_network import MLPRegressor

        ratio = latencies_ms / ridge.predict(inputs.physical)
        kept = inliers(ratio - 1)
        network = MLPRegressor(
            hidden_layer_sizes=QUICK_LAYERS,
            alpha=penalty,
            solver="lbfgs",
            max_iter=QUICK_ITERATIONS,
            random_state=seed,
        )
        return cls._fit(network, [{}], inputs.rows(kept).all(), np.log(ratio[kept]), corrects=True)

    @classmethod
    def _fit(
        cls, network: Any, stages: Iterable[dict[str, Any]], columns: np.ndarray, targets: np.ndarray, corrects: bool
    ) -> "Network":
        from sklearn.exceptions import ConvergenceWarning

        mean, scale = moments(columns)
        target_mean, target_scale = targets.mean(), targets.std() or 1.0
        rows = ((columns - mean) / scale).astype(np.float32)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # the number of steps is what ends each stage
            for stage in stages:
                network.set_params(**stage).fit(rows, ((targets - target_mean) / target_scale).astype(np.float32))
        layers = {f"weight{index}": weight for index, weight in enumerate(network.coefs_)}
        layers |= {f"bias{index}": bias for index, bias in enumerate(network.intercepts_)}
        numbers = {"target_mean": target_mean, "target_scale": target_scale, "corrects": float(corrects)}
        return cls({"mean": mean, "scale": scale, **layers, **numbers})

    def predict(self, inputs: Inputs, ridge_ms: np.ndarray) -> np.ndarray:
        """Milliseconds (samples,) for Inputs, given what the ridge predicts for them."""
        a = self.arrays
        columns = inputs.all() if a["corrects"] else inputs.raw
        values = ((columns - a["mean"]) / a["scale"]).astype(np.float32)  # as it was fitted, and twice as fast
        last = sum(name.startswith("weight") for name in a) - 1
        for index in range(last):
            values = np.maximum(values @ a[f"weight{index}"] + a[f"bias{index}"], 0)
        outputs = (values @ a[f"weight{last}"] + a[f"bias{last}"])[:, 0].astype(np.float64)
        return np.exp(outputs * a["target_scale"] + a["target_mean"]) * (ridge_ms if a["corrects"] else 1.0)
