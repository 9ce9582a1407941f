"""The loss of a language model on a part of the validation text: enough to tell which of two changes harms it more."""

from collections.abc import Callable

import numpy as np
import torch

from hat.evaluation.language_modeling.judge import word_losses
from hat.experiment.run_directory import RunDirectory
from hat.models.language_model import LanguageModel

WORDS = 4096


def part_loss(run: RunDirectory) -> tuple[Callable[[LanguageModel], float], str]:
    """(model -> its mean loss in nats on WORDS of the validation text in a row, from a place that the run's seed draws;
    what they are, in words).
    """
    stream = run.prepared().stream("valid")
    count = min(WORDS, len(stream))
    first = int(np.random.default_rng(run.config.seed).integers(len(stream) - count + 1))
    words = torch.from_numpy(np.asarray(stream[first : first + count], np.int64))

    def loss(model: LanguageModel) -> float:
        return float(word_losses(model.eval(), words.to(model.output.biases[0].device)).double().mean())

    return loss, f"the loss of validation words {first + 1} to {first + count}"
