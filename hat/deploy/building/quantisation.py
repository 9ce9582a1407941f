"""Quantisation: int8 weights with one scale per output channel and uint8 activations with one range each; 4-bit weights
with a scale for each block, or with a codebook for each matrix.
"""

import numpy as np

DEFAULT_RANGE = (-4.0, 4.0)  # for graphs that are only timed: about what a layer norm's output spans
BLOCK = 32  # neighbours in a row that share a scale of 4-bit weights
MIDDLE = 8  # the 4-bit number that stands for zero
# Tried for a block, in parts of the one by which its largest value becomes -8; the last make it -7, -6... so that the
# values of 4-bit numbers are found again.
SCALES = (*np.linspace(0.6, 1.0, 9), *(MIDDLE / largest for largest in range(7, 0, -1)))
CODES = 16  # values that 4 bits tell apart
MOST_CLUSTERED = 2**16  # weights of a matrix from which its codebook is made
LARGEST_HALF = 6e4  # about the largest that 16 bits express
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


def quantise_blocks(weight: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """weight (outputs, inputs) -> (uint8 of 0 to 15 (outputs, blocks, BLOCK), scales float16 (outputs, blocks)).

    A block of BLOCK values, the last one filled up with zeros, is about `(numbers - MIDDLE) * scale`. The scale is that
    of SCALES by which the squared error of the block is least; its sign lets the largest magnitude use -8.
    """
    outputs, inputs = weight.shape
    blocks = np.pad(weight, ((0, 0), (0, -inputs % BLOCK))).reshape(outputs, -1, BLOCK)
    peak = np.take_along_axis(blocks, np.abs(blocks).argmax(axis=2, keepdims=True), axis=2)[..., 0]
    best = np.full(peak.shape, np.inf)
    codes, scales = np.full(blocks.shape, MIDDLE, np.uint8), np.ones(peak.shape, np.float16)
    for share in SCALES:
        tried = np.clip(-share * peak / MIDDLE, -LARGEST_HALF, LARGEST_HALF).astype(np.float16)
        usable = np.where(tried == 0, np.float16(1), tried).astype(np.float32)
        numbers = np.clip(np.rint(blocks / usable[..., None]), -MIDDLE, MIDDLE - 1)
        error = np.square(numbers * usable[..., None] - blocks).sum(axis=2)
        better = error < best
        best = np.where(better, error, best)
        codes = np.where(better[..., None], (numbers + MIDDLE).astype(np.uint8), codes)
        scales = np.where(better, usable.astype(np.float16), scales)
    return codes, scales


def codebook_of(weight: np.ndarray) -> np.ndarray:
    """The CODES values, float16 and rising, that stand for those of `weight`: its own where they are so few.

    Else the centres of K-means clusters, as in HAT. Zero is one of them, so that what is zero stays so.
    """
    values = _halves(weight)
    if len(values) > CODES:
        values = _halves(np.append(_cluster_centres(weight.ravel()), 0))
    return np.pad(values, (0, CODES - len(values)), mode="edge")


def _halves(values: np.ndarray) -> np.ndarray:
    """As float16, each once, rising."""
    return np.unique(np.clip(values, -LARGEST_HALF, LARGEST_HALF).astype(np.float16))


def _cluster_centres(weight: np.ndarray) -> np.ndarray:
    from sklearn.cluster import KMeans

    some = weight[:: -(-weight.size // MOST_CLUSTERED)]
    some = some[some != 0]
    first = np.quantile(some, (np.arange(CODES - 1) + 0.5) / (CODES - 1))
    clusters = KMeans(CODES - 1, init=first[:, None], n_init=1, max_iter=100).fit(some[:, None])
    return clusters.cluster_centers_.ravel()


def nearest_codes(weight: np.ndarray, codebook: np.ndarray) -> np.ndarray:
    """uint8 of the shape of `weight`: which value of the `codebook` is nearest to each."""
    values = codebook.astype(np.float32)
    return np.searchsorted((values[1:] + values[:-1]) / 2, weight).astype(np.uint8)
