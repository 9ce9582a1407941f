"""An upper bound that holds with a stated probability, whatever the noise: conformal prediction.

Each sample is predicted by a model that did not see it. Its score is how far, relatively, the measured latency lies
above that prediction, divided by sqrt(1 + leverage): predictions far from the samples are less sure. The bound is an
order statistic of the scores, chosen so that with SURETY it is above their true quantile of CONFIDENCE (Wilks,
"Determination of sample sizes for setting tolerance limits", 1941; Vovk, "Conditional validity of inductive conformal
predictors", 2012). So it is not only on average over many predictors that 95 % of new measurements are below their
bounds, but most probably for the predictor at hand. Slow spells count, as new measurements have them too; mishaps
(latency_predictor.outliers) don't.
"""

import numpy as np

CONFIDENCE = 0.95
SURETY = 0.9
ONE_DEVIATION = 0.683  # the share of a normal distribution within one standard deviation
LEAST_ERROR = 1e-3  # no timer is surer than this


def spread(leverage):
    """How much wider than near the samples an error is: sqrt(1 + leverage), (n,)."""
    return np.sqrt(1 + leverage)


def scores(measured_ms, predicted_ms, leverage):
    """(n,): how far measured is above predicted, relatively, in units of `spread`."""
    return (measured_ms / predicted_ms - 1) / spread(leverage)


def quantile(values):
    """The smallest of n scores that is, with SURETY, above their true quantile of CONFIDENCE; at least 0.

    The largest where n is too small for any to be: with fewer than 45 scores.
    """
    from scipy.stats import binom

    ranks = np.arange(1, len(values) + 1)
    sure = binom.cdf(ranks - 1, len(values), CONFIDENCE) >= SURETY  # fewer than `rank` scores are below the quantile
    rank = ranks[sure][0] if sure.any() else len(values)
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
