"""Which groups stay: within the number of parameters, the best of them, none of the places empty."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hat.compression.pruning.selection import AT_ONCE, Place, keep_in_each, keep_over_all
from hat.errors import UsageError

PLACES = st.lists(
    st.tuples(st.sampled_from(["heads", "neurons"]), st.integers(1, 50), st.integers(8, 40), st.integers(0, 2**32 - 1)),
    min_size=1,
    max_size=4,
)


def candidates(drawn):
    return [Place(kind, size, np.random.default_rng(seed).random(count) + 0.01) for kind, size, count, seed in drawn]


@given(PLACES, st.floats(1.01, 5))
def test_what_stays_is_within_the_parameters_and_leaves_no_place_empty(drawn, rate):
    places = candidates(drawn)
    parameters = round(sum(place.parameters for place in places) / rate)
    for keep in (keep_over_all, keep_in_each):
        try:
            kept = keep(places, parameters)
        except UsageError:
            continue
        assert sum(place.size * stays.sum() for place, stays in zip(places, kept, strict=True)) <= parameters
        for place, stays in zip(places, kept, strict=True):
            assert stays.any()
            assert stays.all() or place.scores[stays].min() >= place.scores[~stays].max()


def test_over_all_is_the_best_of_all_choices_where_groups_are_alike():
    """Brute force over single groups of one size."""
    places = [Place("heads", 10, np.array(scores)) for scores in ([0.9, 0.2, 0.8], [0.3, 0.7, 0.1, 0.6])]
    kept = np.concatenate(keep_over_all(places, 40))
    scores = np.concatenate([place.scores for place in places])
    choices = [list(choice) for choice in itertools.combinations(range(7), 4)]
    best = max((c for c in choices if min(c) < 3 <= max(c)), key=lambda c: scores[c].sum())
    assert np.flatnonzero(kept).tolist() == best


def test_neurons_stay_by_eights():
    (kept,) = keep_over_all([Place("neurons", 1, np.random.default_rng(0).random(64))], 30)
    assert kept.sum() == 24 == 30 // AT_ONCE["neurons"] * AT_ONCE["neurons"]


def test_in_each_keeps_the_same_share_of_every_place():
    rng = np.random.default_rng(0)
    places = [Place("neurons", 10, scale * rng.random(80)) for scale in (1, 100)]
    assert [stays.sum() for stays in keep_in_each(places, 800)] == [40, 40]
    assert [stays.sum() for stays in keep_over_all(places, 800)] == [8, 72]


@pytest.mark.parametrize("keep", [keep_over_all, keep_in_each])
def test_a_rate_that_leaves_a_layer_empty_names_one_that_does_not(keep):
    places = [Place("heads", 10, np.array([1.0, 2.0])), Place("neurons", 1, np.ones(16))]
    with pytest.raises(UsageError, match=r"leaves a layer empty; the highest rate here is about (\d.*)") as error:
        keep(places, round(36 / 4.5))
    highest = float(str(error.value).rpartition(" ")[2])
    keep(places, int(36 / highest))


def test_what_is_gone_stays_gone():
    scores = np.array([0.5, 0.0, 0.7, 0.0])
    place = Place("heads", 10, scores)
    assert place.parameters == 20
    assert keep_over_all([place], 40)[0].tolist() == [True, False, True, False]
