"""The moving average of weights while they are trained, which is less noisy than the last of them."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

AVERAGE = "average"  # key of the optimiser's state for a weight, so that checkpoints hold it
DECAY = 0.999


class MovingAverage:
    """Of `weights` {name: parameter of the optimizer}; a training that goes on finds it in the optimizer's state."""

    def __init__(self, weights: Mapping[str, torch.nn.Parameter], optimizer: torch.optim.Optimizer) -> None:
        self._named, self._state = weights, optimizer.state

    @torch.no_grad()
    def after(self, update: int) -> None:
        """To be called after each update of the optimiser with the number of updates done.

        The first ones count less than DECAY would have them: else the beginning is most of a short training's average.
        """
        decay = min(DECAY, update / (update + 9))
        for weight in self._named.values():
            state: Any = self._state[weight]
            before = state.get(AVERAGE)
            state[AVERAGE] = weight.detach().clone() if before is None else before.lerp_(weight, 1 - decay)

    def weights(self) -> dict[str, Tensor]:
        """{name: average}"""
        return {name: self._state[weight][AVERAGE] for name, weight in self._named.items()}
