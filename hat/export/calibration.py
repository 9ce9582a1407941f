"""Calibration of static int8: the range of values that every matrix product of a model takes in."""

import numpy as np
import torch

from hat.deploy.building.products import OUTPUT_PRODUCT
from hat.deploy.building.quantisation import activation_parameters
from hat.elastic.layers import ElasticLinear
from hat.errors import ArtifactError, DataError

BINS = 2048  # of the histogram of a product's input: eight for each of the 256 levels
SHRINK = np.linspace(0.5, 1.0, 21)  # what is tried of either side of the range
NO_VALUES = (0.0, 1.0)  # the range of an input that was always zero


def calibrate(model, pairs):
    """{product name: (low, high)} of a standalone `hat.models.translation.Transformer`, low <= 0 <= high.

    pairs: sentences to run it on, (source ids, target ids) that end with </s>; the decoder is fed the target. Names
    are those of the weights without `.weight`, the output product's is OUTPUT_PRODUCT.

    Of the least and the greatest value m <= 0 <= M that an input has, low = a * m and high = b * M, where a and b of
    SHRINK minimise the mean of (x - q(x))**2 over all values x; q rounds to the 256 levels between low and high, zero
    among them, and clips what lies beyond. It is computed from a histogram of BINS equal bins between m and M. An input
    that is never negative (behind a ReLU) thus has low = 0.

    Raises DataError without pairs, ArtifactError for a model that makes infinities or NaN of them.
    """
    if not pairs:
        raise DataError("there is no training sentence to calibrate int8 on; run hat-prepare with a training set")
    extremes = _extremes(model, pairs)
    histograms = {name: np.zeros(BINS, np.int64) for name in extremes}

    def count(name, values):
        histograms[name] += np.histogram(values, BINS, extremes[name])[0]

    _observe(model, pairs, count)
    return {name: best_range(histogram, *extremes[name]) for name, histogram in histograms.items()}


def best_range(histogram, low, high):
    """The range within low <= 0 <= high of least squared error for values with that histogram, as `calibrate` says."""
    edges = np.linspace(low, high, len(histogram) + 1)
    values = (edges[1:] + edges[:-1]) / 2
    lows, highs = ([0.0] if end == 0 else SHRINK * end for end in (low, high))
    candidates = [(float(a), float(b)) for a in lows for b in highs]
    return min(candidates, key=lambda candidate: histogram @ _squared_errors(values, *candidate))


def _squared_errors(values, low, high):
    scale, zero = activation_parameters(low, high)
    levels = np.clip(np.rint(values / scale) + zero, 0, 255)
    return np.square(values - (levels - zero) * scale)


def _extremes(model, pairs):
    """{product name: (least, greatest)} value of each product's input, zero included."""
    extremes = {}

    def widen(name, values):
        if not np.isfinite(values).all():
            raise ArtifactError(f"the input of {name} holds infinities or NaN; train the model again at a lower rate")
        low, high = extremes.get(name, (0.0, 0.0))
        extremes[name] = min(low, float(values.min())), max(high, float(values.max()))

    _observe(model, pairs, widen)
    return {name: NO_VALUES if ends == (0.0, 0.0) else ends for name, ends in extremes.items()}


def _observe(model, pairs, observer):
    """Run `model` on each pair by itself and call observer(product name, numpy array of its input) for all products."""
    training, end = model.training, model.spec.end_of_sentence
    handles = [
        module.register_forward_pre_hook(lambda _, inputs, name=name: observer(name, inputs[0].float().numpy()))
        for name, module in model.named_modules()
        if isinstance(module, ElasticLinear)
    ]
    model.eval()
    try:
        with torch.inference_mode():
            for source, target in pairs:
                encoded = model.encoder(torch.tensor([source]))
                features = model.decoder.features(torch.tensor([[end, *target[:-1]]]), encoded)
                observer(OUTPUT_PRODUCT, features.float().numpy())
    finally:
        model.train(training)
        for handle in handles:
            handle.remove()
