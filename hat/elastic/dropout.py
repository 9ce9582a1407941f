"""Dropout that is cheap on CPUs, where torch draws one random number an element, slower than a matrix product."""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

LEVELS = 256  # a random byte an element: the rate is rounded to a multiple of 1 / 256


class _ByteDropout(torch.autograd.Function):
    """Zeroes elements whose random byte is below `dropped_levels`, scales the others to keep the expectation."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, dropped_levels: int) -> Tensor:
        draws = torch.empty(-(-x.numel() // 8), dtype=torch.int64).random_(-(2**63), None)
        ctx.kept = draws.view(torch.uint8)[: x.numel()].view(x.shape) >= dropped_levels
        ctx.scale = LEVELS / (LEVELS - dropped_levels)
        return torch.mul(x, ctx.kept).mul_(ctx.scale)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        return torch.mul(grad, ctx.kept).mul_(ctx.scale), None


def dropout(x: Tensor, rate: float, training: bool) -> Tensor:
    """`F.dropout`; on CPUs from one random byte an element, `rate` rounded to 1/256. Any shape -> the same."""
    if not training or rate == 0.0:
        return x
    if x.device.type != "cpu":
        return F.dropout(x, rate)
    return _ByteDropout.apply(x, min(round(rate * LEVELS), LEVELS - 1))
