"""The ranges of static int8: where to cut the values that the inputs of a model's products have."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from hat.deploy.building.quantisation import activation_parameters
from hat.errors import ArtifactError, DataError

BINS = 2048  # of the histogram of a product's input: eight for each of the 256 levels
SHRINK = np.linspace(0.5, 1.0, 21)  # what is tried of either side of the range
NO_VALUES = (0.0, 1.0)  # the range of an input that was always zero


def best_ranges(
    texts: Sequence[Any], observe: Callable[[Sequence[Any], Callable[[str, np.ndarray], None]], None]
) -> dict[str, tuple[float, float]]:
    """{product name: (low, high)} of what `observe(texts, observer)` shows: it calls observer(product name, numpy array
    of its input) for all products and texts, in any order, whenever it is called.

    Of the least and the greatest value m <= 0 <= M that an input has, low = a * m and high = b * M, where a and b of
    SHRINK minimise the mean of (x - q(x))**2 over all values x; q rounds to the 256 levels between low and high, zero
    among them, and clips what lies beyond. It is computed from a histogram of BINS equal bins between m and M. An input
    that is never negative (behind a ReLU) thus has low = 0.

    Raises DataError without texts, ArtifactError for a model that makes infinities or NaN of them.
    """
    if not texts:
        raise DataError("there is no training sentence to calibrate int8 on; run hat-prepare with a training set")
    extremes = _extremes(texts, observe)
    histograms = {name: np.zeros(BINS, np.int64) for name in extremes}

    def count(name: str, values: np.ndarray) -> None:
        histograms[name] += np.histogram(values, BINS, extremes[name])[0]

    observe(texts, count)
    return {name: best_range(histogram, *extremes[name]) for name, histogram in histograms.items()}


def best_range(histogram: np.ndarray, low: float, high: float) -> tuple[float, float]:
    """The range within low <= 0 <= high of least squared error for values of that histogram; see `best_ranges`."""
    edges = np.linspace(low, high, len(histogram) + 1)
    values = (edges[1:] + edges[:-1]) / 2
    lows, highs = ([0.0] if end == 0 else SHRINK * end for end in (low, high))
    candidates = [(float(a), float(b)) for a in lows for b in highs]
    return min(candidates, key=lambda candidate: histogram @ _squared_errors(values, *candidate))


def _squared_errors(values: np.ndarray, low: float, high: float) -> np.ndarray:
    scale, zero = activation_parameters(low, high)
    levels = np.clip(np.rint(values / scale) + zero, 0, 255)
    return np.square(values - (levels - zero) * scale)


def _extremes(
    texts: Sequence[Any], observe: Callable[[Sequence[Any], Callable[[str, np.ndarray], None]], None]
) -> dict[str, tuple[float, float]]:
    """{product name: (least, greatest)} value of each product's input, zero included."""
    extremes: dict[str, tuple[float, float]] = {}

    def widen(name: str, values: np.ndarray) -> None:
        if not np.isfinite(values).all():
            raise ArtifactError(f"the input of {name} holds infinities or NaN; train the model again at a lower rate")
        low, high = extremes.get(name, (0.0, 0.0))
        extremes[name] = min(low, float(values.min())), max(high, float(values.max()))

    observe(texts, widen)
    return {name: NO_VALUES if ends == (0.0, 0.0) else ends for name, ends in extremes.items()}
