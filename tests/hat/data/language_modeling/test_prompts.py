"""Prompts out of running text, words of which the ends of lines are no part."""

from types import SimpleNamespace

import numpy as np

from hat.data.language_modeling.prompts import draw_prompts

END = 0
LINES = [[5, 6, 7], [8], [9, 10], [11, 12, 13, 14]]
STREAM = np.array([word for line in LINES for word in [*line, END]], np.uint8)
PREPARED = SimpleNamespace(stream=lambda split: STREAM, end_of_line=END, sentences={"valid": len(LINES)})


def test_lines_themselves_in_an_order_that_the_seed_draws():
    drawn = [draw_prompts(PREPARED, "valid", 10, None, seed) for seed in (1, 1, 2)]
    assert sorted(drawn[0]) == sorted(LINES)
    assert drawn[0] == drawn[1] != drawn[2]
    assert draw_prompts(PREPARED, "valid", 2, None, 1) == drawn[0][:2]


def test_as_many_words_as_asked_for_over_the_ends_of_lines_and_of_the_text():
    found = {prompt[0]: prompt for prompt in draw_prompts(PREPARED, "valid", 10, 12, 1)}
    words = list(range(5, 15))
    assert sorted(found) == [5, 8, 9, 11]
    for first, prompt in found.items():
        assert prompt == [*words, *words, *words][words.index(first) :][:12]
