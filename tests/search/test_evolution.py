"""The evolution on a space that brute force can search."""

import json
from dataclasses import replace

import numpy as np
import pytest
from search_toys import SETTINGS, SPACE, bound, everything, evolved, latency, loss, predict

from search.evolution import Evolution
from search.fastest import find_least


def within(limit_ms, bound=predict):
    """What lets in architectures up to a limit."""
    return lambda architectures: [bound_ms <= limit_ms for bound_ms in bound(architectures)]


def summary(evolution):
    return [(c.architecture, c.predicted_ms, c.valid_nats) for c in evolution.candidates], evolution.history


@pytest.mark.parametrize("limit_ms", [6.5, 8.0, 11.0, 100.0])
@pytest.mark.parametrize("seed", [1, 2])
def test_finds_what_brute_force_finds(limit_ms, seed):
    feasible = [architecture for architecture in everything() if latency(architecture) <= limit_ms]
    best = min(feasible, key=loss)
    evolution = evolved(Evolution(SPACE, SETTINGS, predict, within(limit_ms), seed))
    found = min(evolution.candidates, key=lambda candidate: candidate.valid_nats)
    assert loss(found.architecture) == loss(best)
    assert len(evolution.candidates) < 0.8 * len(everything())


def test_every_proposal_is_new_and_within_the_limit():
    evolution = evolved(Evolution(SPACE, SETTINGS, predict, within(9.0), seed=3))
    proposed = [candidate.architecture for candidate in evolution.candidates]
    assert len(set(proposed)) == len(proposed)
    assert all(latency(architecture) <= 9.0 for architecture in proposed)


@pytest.mark.parametrize("limit_ms", [7.0, 9.0, 11.0])
def test_the_bound_and_not_the_prediction_is_held_against_the_limit(limit_ms):
    bounds_ms = dict(zip(everything(), bound(everything()), strict=True))
    tempting = [architecture for architecture, ms in bounds_ms.items() if latency(architecture) <= limit_ms < ms]
    evolution = evolved(Evolution(SPACE, SETTINGS, predict, within(limit_ms, bound), seed=1, starters=tempting))
    asked = [candidate.architecture for candidate in evolution.candidates]
    assert max(bounds_ms[architecture] for architecture in asked) <= limit_ms
    assert [candidate.predicted_ms for candidate in evolution.candidates] == predict(asked)
    best = min(loss(architecture) for architecture in everything() if bounds_ms[architecture] <= limit_ms)
    assert min(candidate.valid_nats for candidate in evolution.candidates) == best
    assert best > min(map(loss, tempting))


def test_sizes_of_generations_are_those_of_the_paper():
    sizes = []
    evolution = Evolution(SPACE, replace(SETTINGS, iterations=3), predict, within(100.0), seed=1)
    while not evolution.finished:
        asked = evolution.ask()
        sizes.append(len(asked))
        evolution.tell([loss(architecture) for architecture in asked])
    assert sizes == [30, 24, 24]
    assert [row["evaluations"] for row in evolution.history] == [30, 54, 78]
    assert evolution.history[-1]["best_nats"] == min(c.valid_nats for c in evolution.candidates)


def test_crossed_children_have_every_gene_from_one_of_the_best():
    settings = replace(SETTINGS, parents=2, mutations=0, crossovers=3, iterations=2)
    evolution = evolved(Evolution(SPACE, settings, predict, within(100.0), seed=5))
    genomes = {tuple(genome): nats for genome, _, nats in evolution.state()["scored"]}
    first, children = list(genomes)[:30], list(genomes)[30:]
    parents = sorted(first, key=genomes.get)[:2]
    assert len(children) == 3
    for child in children:
        assert all(gene in choices for gene, choices in zip(child, zip(*parents, strict=True), strict=True))


def test_same_seed_same_search_and_another_seed_another():
    first, again, other = (evolved(Evolution(SPACE, SETTINGS, predict, within(9.0), seed)) for seed in (1, 1, 2))
    assert summary(first) == summary(again)
    assert summary(first)[0] != summary(other)[0]


@pytest.mark.parametrize("generations", [0, 1, 4])
def test_restored_search_goes_on_as_if_never_interrupted(generations):
    settings = replace(SETTINGS, iterations=8)
    whole = evolved(Evolution(SPACE, settings, predict, within(9.0), seed=1))
    part = Evolution(SPACE, settings, predict, within(9.0), seed=1)
    for _ in range(generations):
        part.tell([loss(architecture) for architecture in part.ask()])
    kept = json.loads(json.dumps(part.state()))
    part.ask()  # killed while this generation was scored
    resumed = Evolution(SPACE, settings, predict, within(9.0), seed=1)
    resumed.restore(kept)
    assert summary(evolved(resumed)) == summary(whole)


def test_impossible_limit_ends_at_once():
    evolution = Evolution(SPACE, SETTINGS, predict, within(0.5), seed=1)
    assert evolution.ask() == []
    assert evolution.finished


def test_starters_lead_into_a_limit_that_random_ones_miss():
    fastest, fastest_ms = find_least(SPACE, predict, seed=1)
    evolution = evolved(Evolution(SPACE, SETTINGS, predict, within(fastest_ms), seed=1, starters=[fastest]))
    assert [candidate.architecture for candidate in evolution.candidates] == [fastest]


def test_fastest_is_that_of_brute_force_where_the_smallest_is_not():
    def odd(architectures):  # small widths and few heads run slowly here
        return [
            latency(a) + 9 * (a.decoder.embed_dim == 16) - 0.5 * a.decoder.self_attention_heads[0]
            for a in architectures
        ]

    fastest, fastest_ms = find_least(SPACE, odd, seed=1)
    assert fastest_ms == pytest.approx(np.min(odd(everything())))
    assert fastest != SPACE.smallest()
    assert odd([fastest]) == [fastest_ms]
