"""Prompts out of running text: what a language model is given when its calls are timed."""

from typing import TYPE_CHECKING

import numpy as np

from hat.data.drawing import draw_lines

if TYPE_CHECKING:
    from hat.data.language_modeling.prepared import LanguageData


def draw_prompts(prepared: "LanguageData", split: str, count: int, length: int | None, seed: int) -> list[list[int]]:
    """At most `count` prompts, numbers of words each, that begin where lines do that `seed` draws from a split.

    Each has `length` words, over the ends of lines, which don't count, and on from the beginning of the split where
    that ends; where that is None, those of its line.
    """
    stream = prepared.stream(split)
    at_end = stream == prepared.end_of_line
    words, ends = stream[~at_end], np.cumsum(~at_end)[at_end]  # how many words stand before each line's end
    starts = np.concatenate([[0], ends[:-1]])
    chosen = draw_lines(prepared, split, count, seed)
    lengths = ends[chosen] - starts[chosen] if length is None else np.full(len(chosen), length)
    places = [np.arange(start, start + words_here) for start, words_here in zip(starts[chosen], lengths, strict=True)]
    return [[int(word) for word in words.take(each, mode="wrap")] for each in places]
