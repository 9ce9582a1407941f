"""int8 quantisation: symmetric weights with one scale per output channel, uint8 activations with one range each."""

import numpy as np

DEFAULT_RANGE = (-4.0, 4.0)  # for graphs that are only timed: about what a layer norm's output spans
LARGEST_BIAS = 2.0**30  # in quantised units: leaves room for the products' sum in an int32


def quantise_rows(weight: np.ndarray, least_scales: float | np.ndarray = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """weight (outputs, inputs) float32 -> (int8 of the same shape, scales (outputs,) float32).

    `weight` is about `int8 * scale` row by row. The largest magnitude of a row becomes 127, unless its scale is at
    least `least_scales` (outputs,) by then, or two neighbours would overflow (see `_unsaturated_scales`).
    """
    largest = np.maximum(np.abs(weight).max(axis=1), 1e-9)
    scales = np.maximum.reduce(
        [largest / 127.0, _unsaturated_scales(weight), np.broadcast_to(least_scales, len(weight))]
    )
    quantised = np.clip(np.rint(weight / scales[:, None]), -127, 127).astype(np.int8)
    return quantised, scales.astype(np.float32)


def _unsaturated_scales(weight: np.ndarray) -> np.ndarray:
    """Least scales (outputs,) by which 255 * (a + b) fits into 16 bits for any two neighbours a, b of a row's int8.

    Neighbours are the first and the second value, the third and the fourth... Of like signs, |a| + |b| <= 128 will do:
    |x| + |y| <= 127 scales before rounding.
    """
    outputs, inputs = weight.shape
    pairs = np.pad(weight, ((0, 0), (0, inputs % 2))).reshape(outputs, -1, 2)
    return np.abs(pairs.sum(axis=2)).max(axis=1) / 127.0


def activation_parameters(low: float, high: float) -> tuple[np.float32, np.uint8]:
    """(scale float32, zero point uint8) that map the range low <= 0 <= high to 0 ... 255, zero to an integer."""
    scale = max(high - low, 1e-9) / 255.0
    return np.float32(scale), np.uint8(np.clip(np.rint(-low / scale), 0, 255))


def quantise_linear(
    weight: np.ndarray, bias: np.ndarray | np.float32, input_scale: np.float32
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """`quantise_rows` of the weight, and bias (outputs,) as int32 in units of input_scale * scales.

    Where a row's weights are so small, or all zero, that its bias would exceed LARGEST_BIAS in their units, the bias
    decides the scale: what the weights then lose is nothing beside it.
    """
    quantised, scales = quantise_rows(weight, np.abs(bias) / (input_scale * LARGEST_BIAS))
    return quantised, scales, np.rint(bias / (input_scale * scales)).astype(np.int32)
