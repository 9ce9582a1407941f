"""int8 quantisation: symmetric weights with one scale per output channel, uint8 activations with one range each."""

import numpy as np

DEFAULT_RANGE = (-4.0, 4.0)  # for graphs that are only timed: about what a layer norm's output spans
LARGEST_BIAS = 2.0**30  # in quantised units: leaves room for the products' sum in an int32


def quantise_rows(weight):
    """weight (outputs, inputs) float32 -> (int8 of the same shape, scales (outputs,) float32).

    `weight` is about `int8 * scale` row by row; the largest magnitude of a row becomes 127.
    """
    scales = np.maximum(np.abs(weight).max(axis=1), 1e-9) / 127.0
    quantised = np.clip(np.rint(weight / scales[:, None]), -127, 127).astype(np.int8)
    return quantised, scales.astype(np.float32)


def activation_parameters(low, high):
    """(scale float32, zero point uint8) that map the range low <= 0 <= high to 0 ... 255, zero to an integer."""
    scale = max(high - low, 1e-9) / 255.0
    return np.float32(scale), np.uint8(np.clip(np.rint(-low / scale), 0, 255))


def quantise_bias(bias, input_scale, weight_scales):
    """bias (outputs,) as int32 in units of input_scale * weight_scales."""
    return np.clip(np.rint(bias / (input_scale * weight_scales)), -LARGEST_BIAS, LARGEST_BIAS).astype(np.int32)
