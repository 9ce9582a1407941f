"""Which samples something disturbed: too far from what is predicted for them."""

import numpy as np

OUTLIER = 6.0  # times the median deviation: about four standard deviations of a normal distribution
SURELY_INLIER = 0.1  # deviations of about 10 % are never called outliers
GROSS = 1.75  # a mishap is off by more than this factor


def inliers(deviation: np.ndarray) -> np.ndarray:
    """Boolean (samples,): False where a relative deviation is far beyond that of most."""
    distance = np.abs(deviation - np.median(deviation))
    return distance <= max(OUTLIER * np.median(distance), SURELY_INLIER)


def mishaps(measured_ms: np.ndarray, predicted_ms: np.ndarray) -> np.ndarray:
    """Boolean (samples,): True where so much went wrong that the sample says nothing of the machine.

    Lesser disturbances, such as slow spells, belong to it: they return.
    """
    ratio = measured_ms / predicted_ms
    return ((ratio > GROSS) | (ratio < 1 / GROSS)) & ~inliers(ratio - 1)
