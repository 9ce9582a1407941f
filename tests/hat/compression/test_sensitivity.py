"""How many weights each tensor loses: against a search through all thresholds, on losses that are made up."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hat.compression.pruning.sensitivity import PARTS, by_sensitivity, kept_of, most_parts
from hat.errors import UsageError


def rising(seed, tensors):
    """(tensors, PARTS + 1) by how much the loss rises without so many parts: 0, then more with each."""
    steps = np.random.default_rng(seed).exponential(size=(tensors, PARTS))
    return np.concatenate([np.zeros((tensors, 1)), np.cumsum(steps, axis=1) * 1e-2], axis=1)


def parts_of(size, kept):
    return next(parts for parts in range(PARTS + 1) if kept_of(size, parts) == kept)


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 2**32 - 1), st.lists(st.integers(PARTS, 5000), min_size=1, max_size=6), st.floats(1.1, 10))
def test_it_is_the_lowest_threshold_of_all_that_removes_enough(seed, sizes, rate):
    rises, most = rising(seed, len(sizes)), int(sum(sizes) / rate)
    found = by_sensitivity(sizes, lambda tensor, kept: rises[tensor, parts_of(sizes[tensor], kept)], most)
    assert most - len(sizes) < sum(found.kept) <= most

    def kept_at(threshold):
        """All parts, but the last, without which the loss rises no higher."""
        parts = [int(np.sum(of_tensor[:PARTS] <= threshold)) - 1 for of_tensor in rises]
        return [kept_of(size, count) for size, count in zip(sizes, parts, strict=True)]

    thresholds = sorted(set(rises.ravel()))
    at = next(index for index, threshold in enumerate(thresholds) if sum(kept_at(threshold)) <= most)
    fewer, more = kept_at(thresholds[at]), kept_at(thresholds[at - 1])
    for low, kept, high in zip(fewer, found.kept, more, strict=True):
        assert low - 1 <= kept <= high + 1
    assert found.rise == pytest.approx(thresholds[at], rel=1e-2)


def test_a_tensor_that_does_no_harm_loses_all_but_its_last_part_and_one_that_does_nothing():
    assert most_parts(lambda _: 0.0, 0.1) == PARTS - 1
    assert most_parts(lambda parts: float(parts > 0), 0.1) == 0


def test_no_tensor_is_emptied():
    with pytest.raises(UsageError, match="leaves too little of a tensor; the highest rate here is about 32"):
        by_sensitivity([320, 640], lambda *_: 0.0, 20)


def test_losses_that_fall_with_some_pruning_end_the_search_too():
    rng = np.random.default_rng(1)
    rises = rng.normal(size=(3, PARTS + 1))
    sizes = [320, 640, 3200]
    found = by_sensitivity(sizes, lambda tensor, kept: rises[tensor, parts_of(sizes[tensor], kept)], 2000)
    assert 2000 - 3 < sum(found.kept) <= 2000
