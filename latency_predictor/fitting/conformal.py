"""An upper bound for random architectures that holds with a stated probability, whatever the noise (conformal).

Each sample is predicted by a model that did not see it. Its score is how far, relatively, the measured latency lies
above that prediction, divided by sqrt(1 + leverage): predictions far from the samples are less sure. The bound is an
order statistic of the scores, chosen so that with SURETY it is above their true quantile of CONFIDENCE (Wilks,
"Determination of sample sizes for setting tolerance limits", 1941; Vovk, "Conditional validity of inductive conformal
predictors", 2012). So it is not only on average over many predictors that 95 % of new measurements are below their
bounds, but most probably for the predictor at hand. Slow spells count, as new measurements have them too; mishaps
(latency_predictor.fitting.outliers) don't.

What holds for the scores holds for what is drawn like them. So scores of samples that were drawn at random from the
space count alone, and the bound is one for architectures drawn at random. It is none for an architecture that was
picked among many because its bound is low, such as the winner of a search: the lowest of many predictions are, above
all, those that err downwards (Smith and Winkler, "The optimizer's curse", 2006). Winners are measured for that reason.
"""

import math
from collections.abc import Iterable

import numpy as np

CONFIDENCE = 0.95
SURETY = 0.9
ONE_DEVIATION = 0.683  # the share of a normal distribution within one standard deviation
LEAST_ERROR = 1e-3  # no timer is surer than this
LEAST_SCORES = math.ceil(math.log(1 - SURETY) / math.log(CONFIDENCE))  # 45; of fewer, not even the largest is sure


def spread(leverage: np.ndarray) -> np.ndarray:
    """How much wider than near the samples an error is: sqrt(1 + leverage), (n,)."""
    return np.sqrt(1 + leverage)


def scores(measured_ms: np.ndarray, predicted_ms: np.ndarray, leverage: np.ndarray) -> np.ndarray:
    """(n,): how far measured is above predicted, relatively, in units of `spread`."""
    return (measured_ms / predicted_ms - 1) / spread(leverage)


def quantile(values: np.ndarray) -> float:
    """The smallest of n scores that is, with SURETY, above their true quantile of CONFIDENCE; at least 0.

    The largest where n is too small for any to be: with fewer than LEAST_SCORES. Infinity for none.
    """
    from scipy.stats import binom

    if not len(values):
        return math.inf
    ranks = np.arange(1, len(values) + 1)
    sure = binom.cdf(ranks - 1, len(values), CONFIDENCE) >= SURETY  # fewer than `rank` scores are below the quantile
    rank = ranks[sure][0] if sure.any() else len(values)
    return max(float(np.sort(values)[rank - 1]), 0.0)


def deviation(values: np.ndarray) -> float:
    """The relative error that about two thirds of predictions stay within, near the samples."""
    return max(float(np.quantile(np.abs(values), ONE_DEVIATION)), LEAST_ERROR)


def held_out_bounds(
    values: np.ndarray, counted: np.ndarray, folds: Iterable[tuple[np.ndarray, np.ndarray]]
) -> np.ndarray:
    """The bound (n,) on each sample's score, made of the `counted` (a mask) scores of other folds.

    `folds` is what comparison.folds gives.
    """
    bounds = np.zeros(len(values))
    for others, held_out in folds:
        bounds[held_out] = quantile(values[others[counted[others]]])
    return bounds
