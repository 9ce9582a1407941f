"""An upper bound that holds with a stated probability, whatever the noise: conformal prediction.

Each sample is predicted by a model that did not see it. Its score is how far, relatively, the measured latency lies
above that prediction, divided by sqrt(1 + leverage): predictions far from the samples are less sure. A new architecture
measured alike has a score no higher than the ceil((n + 1) * confidence)-th smallest of n such scores with at least that
confidence (Vovk, Gammerman and Shafer, "Algorithmic learning in a random world", 2005; with cross-validation, Barber et
al., "Predictive inference with the jackknife+", 2021). Slow spells count, as new measurements have them too; mishaps
(latency_predictor.outliers) don't.
"""

import math

import numpy as np

CONFIDENCE = 0.95
ONE_DEVIATION = 0.683  # the share of a normal distribution within one standard deviation
LEAST_ERROR = 1e-3  # no timer is surer than this


def spread(leverage):
    """How much wider than near the samples an error is: sqrt(1 + leverage), (n,)."""
    return np.sqrt(1 + leverage)


def scores(measured_ms, predicted_ms, leverage):
    """(n,): how far measured is above predicted, relatively, in units of `spread`."""
    return (measured_ms / predicted_ms - 1) / spread(leverage)


def quantile(values, confidence=CONFIDENCE):
    """The ceil((n + 1) * confidence)-th smallest of n scores, at least 0; the largest where n is too small for it.

    With fewer than 19 samples the bound of 95 % would be infinite; the largest score holds with n / (n + 1).
    """
    rank = min(math.ceil((len(values) + 1) * confidence), len(values))
    return max(float(np.sort(values)[rank - 1]), 0.0)


def usual_error(values):
    """The relative error that about two thirds of predictions stay within, near the samples."""
    return max(float(np.quantile(np.abs(values), ONE_DEVIATION)), LEAST_ERROR)


def held_out_bounds(values, counted, folds):
    """The bound (n,) on each sample's score, made of the `counted` (a mask) scores of other folds.

    `folds` is what comparison.folds gives.
    """
    bounds = np.zeros(len(values))
    for others, held_out in folds:
        bounds[held_out] = quantile(values[others[counted[others]]])
    return bounds
