"""States rounded to few bits on their way into a product: what a network whose operands are quantised computes."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class StateRounding(nn.Module):
    """Gives what it is given, until `activate` is called."""

    def __init__(self) -> None:
        super().__init__()
        self.activate(None, 0.0)

    def activate(self, bits: int | None, bound: float) -> None:
        """Round to `bits` from now on: to whole multiples of a step from -bound to bound; None: not at all.

        Gradients pass within the bounds as if nothing were rounded (the straight-through estimator).
        """
        self.most = 0 if bits is None else 2 ** (bits - 1) - 1
        self.step = bound / self.most if self.most else 0.0

    def forward(self, x: Tensor) -> Tensor:
        if not self.step:
            return x
        return torch.fake_quantize_per_tensor_affine(x.float(), self.step, 0, -self.most, self.most).to(x.dtype)


def roundings(network: nn.Module) -> list[StateRounding]:
    """All of a network, in the order in which it was built."""
    return [module for module in network.modules() if isinstance(module, StateRounding)]


def round_states(network: nn.Module, bits: int | None, bounds: Sequence[float]) -> None:
    """Round the states of a network from now on, or with `bits` None no longer; `bounds` are one for each rounding."""
    found = roundings(network)
    for rounding, bound in zip(found, bounds or [0.0] * len(found), strict=True):
        rounding.activate(bits, bound)
