"""The neural cache against its formula, position by position, and what it learns."""

import math

import pytest
import torch

from hat.elastic.cache import NeuralCache

WORDS = 9
THETA, SHARE = 0.3, 0.2


def drawn(time, batch=2):
    generator = torch.Generator().manual_seed(time)
    states = torch.randn(batch, time, 6, generator=generator)
    words = torch.randint(WORDS, (batch, time), generator=generator)
    logits = torch.randn(batch, time, WORDS, generator=generator)
    return states, words, torch.log_softmax(logits, dim=-1)


def a_cache(states):
    cache = NeuralCache(states)
    cache.set(THETA, SHARE)
    return cache


def by_hand(states, words, log_probabilities, limit):
    """(time, vocabulary) of one text."""
    found = []
    for at in range(len(words)):
        looked_at = [before for before in range(max(0, at - limit), at) if words[before] >= 0]
        model = log_probabilities[at].exp().tolist()
        if not looked_at:
            found.append(model)
            continue
        weights = [math.exp(THETA * float(states[before] @ states[at])) for before in looked_at]
        cached = [0.0] * WORDS
        for before, weight in zip(looked_at, weights, strict=True):
            cached[int(words[before])] += weight / sum(weights)
        found.append([SHARE * c + (1 - SHARE) * m for c, m in zip(cached, model, strict=True)])
    return torch.tensor(found)


@pytest.mark.parametrize("limit", [1, 4, 100])
def test_probabilities_are_those_of_the_formula_and_add_up(limit):
    states, words, log_probabilities = drawn(12)
    words[0, 3] = words[1, 0] = -1  # not known
    found = a_cache(limit).log_probabilities(log_probabilities, states, words).exp()
    expected = torch.stack([by_hand(*each, limit) for each in zip(states, words, log_probabilities, strict=True)])
    torch.testing.assert_close(found, expected, atol=1e-6, rtol=0)
    torch.testing.assert_close(found.sum(-1), torch.ones(2, 12), atol=1e-5, rtol=0)


def test_losses_are_the_probabilities_of_the_words():
    states, words, log_probabilities = drawn(12)
    cache, places = a_cache(4), words[..., None]
    losses = cache.losses(-log_probabilities.gather(2, places)[..., 0], states, words)
    expected = -cache.log_probabilities(log_probabilities, states, words).gather(2, places)[..., 0]
    torch.testing.assert_close(losses, expected, atol=1e-6, rtol=0)


@pytest.mark.parametrize("limit", [3, 100])
def test_a_text_in_parts_is_as_the_whole(limit):
    states, words, log_probabilities = drawn(15)
    cache, past, parts = a_cache(limit), None, []
    for part in zip(*(each.split([1, 5, 2, 7], dim=1) for each in (log_probabilities, states, words)), strict=True):
        parts.append(cache.log_probabilities(*part, past))
        past = cache.grown(*part[1:], past)
    assert past[0].shape[1] == min(limit, 15)  # it doesn't grow with the text
    whole = cache.log_probabilities(log_probabilities, states, words)
    torch.testing.assert_close(torch.cat(parts, dim=1), whole, atol=1e-6, rtol=0)


@pytest.mark.parametrize("name", ["raw_theta", "raw_share"])
def test_both_parameters_have_the_gradients_that_differences_show(name):
    states, words, log_probabilities = drawn(10)
    cache = a_cache(6).double()
    parameter, losses = getattr(cache, name), -log_probabilities.gather(2, words[..., None])[..., 0].double()

    def loss():
        return cache.losses(losses, states.double(), words).sum()

    loss().backward()
    with torch.no_grad():
        parameter += 1e-3
        above = loss()
        parameter -= 2e-3
        slope = (above - loss()) / 2e-3
    assert float(parameter.grad) == pytest.approx(float(slope), rel=1e-3)
