"""The pace of a device: how samples taken while it was slower or faster than in most are put right.

The reference architecture, timed within every sample, shows the pace. How far other architectures follow it, the
samples themselves tell: on a device that runs hot all slow down alike, but a neighbour that takes up the cache slows
some more than others. So the exponent of the pace is that with which a ridge leaves the least of it in its residuals.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from hat.architecture.space import SearchSpace
from latency_predictor.fitting.comparison import folds
from latency_predictor.fitting.features import PerLayerFeatures
from latency_predictor.fitting.models.ridge import Ridge
from latency_predictor.sampling.lengths import Lengths
from latency_predictor.sampling.sample import LatencySample, latencies_ms

LEAST_SAMPLES = 30  # with fewer, all architectures count as following the reference fully
ROUNDS = 3  # of ridge and exponent in turn
OFF_PACE = 0.15  # from the median pace, as a share of it
LEAST_SPREAD = 0.005  # standard deviation of the logarithm of the pace, below which it is steady
SEED = 1  # of the folds


@dataclass(frozen=True)
class Pace:
    """`median_ms` is what the reference takes in the median of the samples; `exponent` is between 0 and 1."""

    median_ms: float
    exponent: float

    @classmethod
    def of(cls, samples: Sequence[LatencySample], space: SearchSpace, lengths: Lengths) -> "Pace":
        """The Pace of a device's LatencySamples of architectures from `space`, measured at the points of `lengths`."""
        reference_ms = np.array([sample.reference_ms.p25 for sample in samples])
        median_ms = float(np.median(reference_ms))
        deviation = np.log(reference_ms / median_ms)
        if len(samples) < LEAST_SAMPLES or deviation.std() < LEAST_SPREAD:
            return cls(median_ms, 1.0)
        features = PerLayerFeatures(space)
        physical = features.inputs(features.matrix([sample.architecture for sample in samples])).physical
        return cls(median_ms, _exponent(physical, latencies_ms(samples, lengths), deviation))

    def is_near(self, sample: LatencySample) -> bool:
        """Whether a LatencySample was taken at about the median pace; others can be put right only roughly."""
        return abs(math.log(sample.reference_ms.p25 / self.median_ms)) <= math.log(1 + OFF_PACE)

    def better(self, first: LatencySample, again: LatencySample) -> LatencySample:
        """Of two LatencySamples of an architecture the one taken closer to the median pace, as a second visit."""
        better = min(first, again, key=lambda sample: abs(math.log(sample.reference_ms.p25 / self.median_ms)))
        return replace(better, visits=2, at_random=first.at_random, series=first.series)

    def even(self, sample: LatencySample) -> LatencySample:
        """The LatencySample as it would be at the median pace."""
        return sample.scaled((self.median_ms / sample.reference_ms.p25) ** self.exponent)


def even_latencies_ms(
    space: SearchSpace, samples: Sequence[LatencySample], lengths: Lengths, quantile: float = 0.5
) -> np.ndarray:
    """Milliseconds (samples,) that the `quantile` of the sentences take at most, at the median pace of the samples."""
    pace = Pace.of(samples, space, lengths)
    return latencies_ms([pace.even(sample) for sample in samples], lengths, quantile)


def _exponent(physical: np.ndarray, measured_ms: np.ndarray, deviation: np.ndarray) -> float:
    """How much of `deviation` (samples,), the logarithm of the pace, is found in `measured_ms` (samples,)."""
    exponent = 1.0
    for _ in range(ROUNDS):
        even_ms = measured_ms * np.exp(-exponent * deviation)
        predicted = np.zeros(len(measured_ms))
        for fitted, held_out in folds(len(measured_ms), SEED):
            predicted[held_out] = Ridge.fit(physical[fitted], even_ms[fitted]).predict(physical[held_out])
        exponent = float(np.clip(_slope(deviation, np.log(measured_ms / predicted)), 0.0, 1.0))
    return exponent


def _slope(x: np.ndarray, y: np.ndarray) -> float:
    """The slope of a robust line of y over x (samples,): Theil's, the median of the slopes between pairs of samples."""
    from scipy.stats import theilslopes

    return theilslopes(y, x).slope
