"""The search for the whole front on a space that brute force can search."""

import itertools
import json
import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from search_toys import SETTINGS, SPACE, everything, evolved, latency, loss, predict

from search.nsga2 import FrontEvolution, best_spread, crowding_distances
from search.spread import spread_evenly

POINTS = st.lists(st.tuples(st.integers(1, 12), st.integers(0, 12)), max_size=40)
STARTERS = [SPACE.smallest(), SPACE.largest()]
FEW = replace(SETTINGS, iterations=8)


def point(architecture):
    return latency(architecture), loss(architecture)


def beats(a, b):
    return a[0] <= b[0] and a[1] <= b[1] and a != b


def true_front():
    points = {point(architecture) for architecture in everything()}
    return {mine for mine in points if not any(beats(other, mine) for other in points)}


def hypervolume(points):
    """Area that the points dominate, up to the slowest and the worst of the space."""
    slowest_ms, worst = (max(axis) for axis in zip(*map(point, everything()), strict=True))
    area = 0.0
    for x, y in sorted(points):
        if y < worst:
            area, worst = area + (slowest_ms - x) * (worst - y), y
    return area


def search(settings=FEW, seed=1):
    return FrontEvolution(SPACE, settings, predict, seed, STARTERS)


def found(evolution):
    return [(candidate.predicted_ms, candidate.valid_nats) for candidate in evolution.candidates]


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_finds_the_whole_front_of_brute_force(seed):
    evolution = evolved(search(SETTINGS, seed))
    assert true_front() <= set(found(evolution))
    assert len(evolution.candidates) < 0.6 * len(everything())


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_covers_more_than_as_many_random_ones(seed):
    mine = found(evolved(search(FEW, seed)))
    rng, space = np.random.default_rng(seed), everything()
    random = [point(space[index]) for index in rng.permutation(len(space))[: len(mine)]]
    whole = hypervolume(true_front())
    assert hypervolume(mine) > 0.98 * whole > hypervolume(random)
    assert len(true_front() & set(mine)) > 3 * len(true_front() & set(random))


def test_asks_for_nothing_twice_and_for_as_many_as_the_settings_say():
    evolution, sizes = search(replace(FEW, iterations=3)), []
    while not evolution.finished:
        asked = evolution.ask()
        sizes.append(len(asked))
        evolution.tell([loss(architecture) for architecture in asked])
    asked = [candidate.architecture for candidate in evolution.candidates]
    assert sizes == [30, 24, 24]
    assert len(set(asked)) == len(asked) == evolution.most_candidates
    assert all(architecture in SPACE for architecture in asked)
    assert set(asked[:2]) == set(STARTERS)


def test_the_first_generation_is_spread_over_the_range_of_latencies():
    """No gap that is much wider than an even spread would leave; random ones crowd in the middle."""
    latencies = sorted(map(latency, search().ask()))
    widest = max(math.log(b / a) for a, b in itertools.pairwise(latencies))
    assert widest < 4 * math.log(latencies[-1] / latencies[0]) / (len(latencies) - 1)


def test_a_space_that_is_used_up_ends_the_search():
    settings = replace(SETTINGS, population=400, mutations=300, crossovers=300, iterations=1000)
    evolution = evolved(search(settings))
    assert len(evolution.candidates) <= len(everything())
    assert len(evolution.history) < 1000
    assert true_front() <= set(found(evolution))


def test_same_seed_same_search_and_another_seed_another():
    first, again, other = (evolved(search(seed=seed)) for seed in (1, 1, 2))
    assert (found(first), first.history) == (found(again), again.history)
    assert found(first) != found(other)


@pytest.mark.parametrize("generations", [0, 1, 4])
def test_restored_search_goes_on_as_if_never_interrupted(generations):
    part, whole = search(), evolved(search())
    for _ in range(generations):
        part.tell([loss(architecture) for architecture in part.ask()])
    kept = json.loads(json.dumps(part.state()))
    part.ask()  # killed while this generation was scored
    resumed = search()
    resumed.restore(kept)
    assert found(evolved(resumed)) == found(whole)
    assert resumed.history == whole.history


def test_history_tells_how_long_the_front_is():
    evolution = evolved(search(SETTINGS))
    assert evolution.history[-1]["front"] == len(true_front())
    assert evolution.standing == f"{len(true_front())} on the front"


@given(POINTS, st.integers(0, 45))
def test_nothing_that_is_left_out_beats_what_survives(points, count):
    unique = list(dict.fromkeys(points))
    best = best_spread(unique, lambda item: item, count)
    assert len(best) == min(count, len(unique)) == len(set(best))
    assert not any(beats(left, kept) for left in set(unique) - set(best) for kept in best)
    # an item that others beat comes after at least one of these
    for position, item in enumerate(best):
        assert all(any(beats(b, item) for b in best[:position]) for a in unique if beats(a, item))


def test_crowding_distance_is_that_of_the_paper():
    """Deb et al., section III-B, by hand: the neighbours' gaps as shares of the range, latencies in powers of two."""
    distances = crowding_distances([(1, 10.0), (2, 9.0), (8, 5.0), (16, 0.0)])
    assert distances.tolist() == [math.inf, pytest.approx(3 / 4 + 5 / 10), pytest.approx(3 / 4 + 9 / 10), math.inf]


def test_the_crowded_give_way_to_the_lonely():
    front = [(1.0, 9.0), (1.1, 8.9), (1.2, 8.8), (4.0, 4.0), (16.0, 0.0)]
    assert set(best_spread(front, lambda item: item, 3)) == {front[0], front[3], front[4]}


@given(st.lists(st.floats(0.1, 1000), min_size=2, max_size=60), st.integers(2, 12))
def test_an_even_spread_holds_both_ends_and_nothing_twice(latencies, count):
    items = list(enumerate(latencies))
    spread = spread_evenly(items, lambda item: item[1], count)
    chosen = [latency_ms for _, latency_ms in spread]
    assert len(set(spread)) == min(count, len(items))
    assert chosen == sorted(chosen)
    assert (chosen[0], chosen[-1]) == (min(latencies), max(latencies))


def test_an_even_spread_is_even_in_the_logarithm():
    powers = [2.0**exponent for exponent in np.linspace(0, 6, 61)]
    assert spread_evenly(powers, lambda item: item, 7) == pytest.approx([1, 2, 4, 8, 16, 32, 64])
