"""Sentences drawn from a prepared split, whatever the order of its text."""

from typing import Any

import numpy as np


def draw_lines(prepared: Any, split: str, count: int, seed: int) -> np.ndarray:
    """Numbers (from 0) of at most `count` lines of a split, chosen by `seed`, in the order of drawing.

    A smaller `count` gives the first of them.
    """
    return np.random.default_rng(seed).permutation(prepared.sentences[split])[:count]
