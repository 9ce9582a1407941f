"""Symmetric int8 weights with one scale per output channel (row)."""

import numpy as np


def quantise_rows(weight):
    """weight (outputs, inputs) float32 -> (int8 of the same shape, scales (outputs,) float32).

    `weight` is about `int8 * scale` row by row; the largest magnitude of a row becomes 127.
    """
    scales = np.maximum(np.abs(weight).max(axis=1), 1e-9) / 127.0
    quantised = np.clip(np.rint(weight / scales[:, None]), -127, 127).astype(np.int8)
    return quantised, scales.astype(np.float32)
