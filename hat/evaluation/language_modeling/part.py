"""What parts of its text tell of a language model: how much a change harms it, how large its states are."""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from hat.elastic.state_rounding import StateRounding, roundings
from hat.evaluation.language_modeling.judge import word_losses
from hat.experiment.run_directory import RunDirectory
from hat.models.language_model import LanguageModel

WORDS = 2048
AT_ONCE = 256  # words whose probabilities of all words are computed together


def part_loss(run: RunDirectory) -> tuple[Callable[[LanguageModel], float], str]:
    """(model -> its mean loss in nats on WORDS of the validation text in a row, from a place that the run's seed draws;
    what they are, in words).
    """
    first, words = _part(run, "valid")

    def loss(model: LanguageModel) -> float:
        return float(word_losses(model.eval(), words.to(model.output.biases[0].device)).double().mean())

    return loss, f"the loss of validation words {first + 1} to {first + len(words)}"


def state_bounds(run: RunDirectory, model: LanguageModel) -> tuple[float, ...]:
    """The largest size of the states at each of the model's StateRoundings, over WORDS of the training text."""
    found = {rounding: 0.0 for rounding in roundings(model)}

    def see(rounding: StateRounding, states: tuple[Tensor]) -> None:
        found[rounding] = max(found[rounding], float(states[0].abs().max()))

    hooks = [rounding.register_forward_pre_hook(see) for rounding in found]
    memory = None
    with torch.inference_mode():
        for words in _part(run, "train")[1].split(AT_ONCE):
            features, memory = model(words[None], memory)
            model.output.log_probabilities(features)
    for hook in hooks:
        hook.remove()
    return tuple(found.values())


def _part(run: RunDirectory, split: str) -> tuple[int, Tensor]:
    """(place of the first, numbers) of WORDS in a row of a split, from where the run's seed draws."""
    stream = run.prepared().stream(split)
    count = min(WORDS, len(stream))
    first = int(np.random.default_rng(run.config.seed).integers(len(stream) - count + 1))
    return first, torch.from_numpy(np.asarray(stream[first : first + count], np.int64))
