"""The two parameters of a neural cache, searched for on the validation text: for any trained network."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import torch

from hat.elastic.cache import NeuralCache
from hat.evaluation.language_modeling.judge import WORDS_AT_A_TIME, states_and_losses

if TYPE_CHECKING:
    from torch import Tensor

    from hat.models.language_model import LanguageModel

SHARE_STEP = 0.05
THETA_FACTORS = (1.2, 0.5)
LEAST_GAIN = 0.005  # of the perplexity: a step that brings less is the last


def search_cache(
    model: "LanguageModel", words: "Tensor", states: int, after_step: Callable[[float], None] = lambda loss: None
) -> tuple[NeuralCache, float, float]:
    """(a cache of so many states, the mean loss in nats with it, without any) for a running text, words (words,) int64.

    One parameter is changed at a time, the one that helps most ("MicroNet for Efficient Language Modeling", 2020): the
    share by SHARE_STEP, theta by THETA_FACTORS; beginning with the model's own cache if it has one. `after_step` is
    told each step's loss.
    """
    features, without = states_and_losses(model, words)
    cache = NeuralCache(states)
    if model.cache is not None:
        cache.set(model.cache.theta.item(), model.cache.share.item())
    known: dict[tuple[float, float], float] = {}

    def loss(theta: float, share: float) -> float:
        if (theta, share) not in known:
            cache.set(theta, share)
            known[theta, share] = _mean_loss(cache, features, without, words)
        return known[theta, share]

    best = cache.theta.item(), cache.share.item()
    while True:
        before = loss(*best)
        after_step(before)
        theta, share = best
        nearby = [(factor * theta, share) for factor in THETA_FACTORS]
        for moved in (share - SHARE_STEP, share + SHARE_STEP):
            if SHARE_STEP / 2 < moved < 1:
                nearby.append((theta, round(moved, 6)))
        best = min([best, *nearby], key=lambda each: loss(*each))
        if loss(*best) > before - LEAST_GAIN:  # nats: the logarithm of the perplexity
            break
    cache.set(*best)
    return cache, loss(*best), float(without.double().mean())


@torch.inference_mode()
def _mean_loss(cache: NeuralCache, features: "Tensor", without: "Tensor", words: "Tensor") -> float:
    total, past = 0.0, None
    parts = (each.split(WORDS_AT_A_TIME) for each in (features, without, words))
    for states, losses, target in zip(*parts, strict=True):
        total += float(cache.losses(losses[None], states[None], target[None], past).double().sum())
        past = cache.grown(states[None], target[None], past)
    return total / len(words)
