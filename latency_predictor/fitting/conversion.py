"""From the ruler to the latency: what real calls take where the predictor, fitted to the ruler, says so much."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

# By which factor predictions must differ for an overhead to be told from a factor.
DIFFERENT = 1.1


@dataclass(frozen=True)
class Conversion:
    """latency = `overhead_ms` + `factor` * prediction, found from `count` architectures timed by real calls.

    The overhead is what a call takes whatever the architecture: text to tokens and back, the search's own work beyond
    the ruler's. `spread` is the mean relative deviation of those architectures from it.
    """

    overhead_ms: float
    factor: float
    spread: float
    count: int

    def latency_ms(self, predicted_ms: np.ndarray | Sequence[float] | float) -> np.ndarray:
        """Milliseconds of real calls for those that the ruler's predictor says, an array of any shape."""
        return self.overhead_ms + self.factor * np.asarray(predicted_ms, dtype=float)


def fit_conversion(
    predicted_ms: np.ndarray | Sequence[float], latencies_ms: np.ndarray | Sequence[float]
) -> Conversion:
    """The Conversion of least squared relative deviation; overhead and factor are never negative.

    Both arguments are (architectures,) milliseconds. Where all predictions are much the same there is no overhead.
    """
    predicted, measured = (np.asarray(values, dtype=float) for values in (predicted_ms, latencies_ms))
    overhead_ms, factor = 0.0, float(np.median(measured / predicted))
    if predicted.max() > DIFFERENT * predicted.min():
        relative = np.stack([1 / measured, predicted / measured], axis=1)
        line = np.linalg.lstsq(relative, np.ones(len(measured)), rcond=None)[0]
        if (line > 0).all():
            overhead_ms, factor = map(float, line)
    deviations = (overhead_ms + factor * predicted) / measured - 1
    return Conversion(overhead_ms, factor, float(np.mean(np.abs(deviations))), len(measured))
