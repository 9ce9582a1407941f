"""Sinusoidal positions, computed at the full width and sliced (Vaswani et al. 2017; fairseq's layout)."""

import math

import torch
from torch import Tensor, nn


class SinusoidalPositions(nn.Module):
    """Position vectors of width `dim`: the first half sines, the second cosines.

    The first non-padding token has index `padding + 1`; padding gets a zero vector. The table grows on demand.
    """

    table: Tensor

    def __init__(self, dim: int, padding: int, initial_length: int = 256) -> None:
        super().__init__()
        self.dim, self.padding = dim, padding
        self.register_buffer("table", self._build(initial_length + padding + 1), persistent=False)

    def _build(self, rows: int) -> Tensor:
        half = self.dim // 2
        frequencies = torch.exp(torch.arange(half, dtype=torch.float) * -(math.log(10000) / (half - 1)))
        angles = torch.arange(rows, dtype=torch.float).unsqueeze(1) * frequencies
        table = torch.cat([angles.sin(), angles.cos()], dim=1)
        if self.dim % 2:
            table = torch.cat([table, torch.zeros(rows, 1)], dim=1)
        table[self.padding] = 0
        return table

    def _cover(self, rows: int) -> None:
        if rows > self.table.size(0):
            self.table = self._build(2 * rows).to(self.table)

    def of_tokens(self, tokens: Tensor, active: int) -> Tensor:
        """Positions of `tokens` (batch, time), counted from each row's first non-padding token.

        Returns (batch, time, active).
        """
        self._cover(tokens.size(1) + self.padding + 1)
        present = tokens.ne(self.padding).int()
        index = present.cumsum(dim=1).mul(present).long() + self.padding
        return self.table[index, :active]

    def of_step(self, step: int, active: int) -> Tensor:
        """Position vector (active,) of the token at 0-based `step` of an unpadded sequence."""
        self._cover(step + self.padding + 2)
        return self.table[step + self.padding + 1, :active]
