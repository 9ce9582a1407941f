"""Hebbian softmax (Rae et al. 2018): what stands for a word also moves towards the states that the word was seen after.

After each update of the optimiser, of each word i among the targets of the update: W_i <- (1 - r) W_i + r * mean of
||W_i|| h / ||h||, over the states h that preceded the word. r = max(1 / count, gamma) while the word had been seen
fewer than `limit` times before, else 0; count is how often it has been seen now. Words of later bins have the states as
these are projected. The tables are those of the embedding too, so that what a word is read as moves with it. Counts are
of a word's places, not of updates: with thousands of words an update, frequent words are past the limit at once, and
rare ones are what this is for.
"""

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.nn import functional as F

if TYPE_CHECKING:
    from hat.elastic.adaptive import ElasticAdaptiveSoftmax
    from hat.experiment.language_modeling import HebbianConfig

SEEN = "hebbian_seen"  # in the optimiser's state of a table: (words,) how often each was seen


class HebbianUpdates:
    """Moves `tables`, the optimiser's parameters behind those of `output`, after each of its steps.

    `see` is to be told all that an update learns from.
    """

    def __init__(
        self,
        output: "ElasticAdaptiveSoftmax",
        tables: list[torch.nn.Parameter],
        config: "HebbianConfig",
        optimizer: torch.optim.Optimizer,
    ) -> None:
        self._output, self._tables, self._config = output, tables, config
        self._state: Any = optimizer.state
        self._sums = [torch.zeros_like(table) for table in tables]
        self._counts = [torch.zeros_like(table[:, 0]) for table in tables]
        optimizer.register_step_post_hook(lambda *_: self._after())

    @torch.no_grad()
    def see(self, features: Tensor, words: Tensor) -> None:
        """features (tokens, embed_dim) and the words (tokens,) int64 that follow them."""
        bins = self._output.embedding.bins
        for index, (sums, counts) in enumerate(zip(self._sums, self._counts, strict=True)):
            (rows,) = bins.places(words, index)
            states, numbers = features[rows], words[rows] - bins.edges[index]
            if index:
                states = self._output.projections[index - 1](states)
            sums.index_add_(0, numbers, F.normalize(states.to(sums.dtype), dim=1))
            counts.index_add_(0, numbers, torch.ones_like(numbers, dtype=counts.dtype))

    @torch.no_grad()
    def _after(self) -> None:
        for table, sums, counts in zip(self._tables, self._sums, self._counts, strict=True):
            before = self._state[table].get(SEEN, torch.zeros_like(counts))
            seen = self._state[table][SEEN] = before + counts
            rate = (1 / seen.clamp(min=1)).clamp(min=self._config.gamma)
            rate = torch.where((counts > 0) & (before < self._config.limit), rate, 0.0)[:, None]
            towards = table.norm(dim=1, keepdim=True) * sums / counts.clamp(min=1)[:, None]
            table.lerp_(towards, rate)
            sums.zero_()
            counts.zero_()
