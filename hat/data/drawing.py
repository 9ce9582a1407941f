"""Sentences drawn from a prepared split, whatever the order of its text."""

import numpy as np


def draw_lines(prepared, split, count, seed):
    """Numbers (from 0) of at most `count` lines of a split, chosen by `seed`, in the order of drawing.

    A smaller `count` gives the first of them.
    """
    return np.random.default_rng(seed).permutation(prepared.sentences[split])[:count]
