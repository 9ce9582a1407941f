"""Causal self-attention to the last positions only, with learned relative positions that all heads share.

The score of a key at distance r is (q . k + q . e_r) / sqrt(head_dim), as in "MicroNet for Efficient Language Modeling"
(Yan et al. 2020); the weights are elastic in embed_dim, heads, the width of a head, and the length of the context.
"""

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hat.elastic.dropout import dropout
from hat.elastic.state_rounding import StateRounding

KeysAndValues = tuple[Tensor, Tensor]  # of the positions before, each (batch, heads, positions, head_dim)


class ElasticWindowedAttention(nn.Module):
    """Each position attends to `context` positions: its own and those before it, as far as there are any.

    Weights: `qkv_weight` (heads, 3, head_dim, embed_dim) with `qkv_bias` (heads, 3, head_dim), queries, keys and values
    in this order; `out_weight` (embed_dim, heads, head_dim); `positions` (context, head_dim) by distance, 0 the own
    position. Smaller ones use the first of each dimension.
    """

    def __init__(self, embed_dim: int, heads: int, head_dim: int, context: int, attention_dropout: float = 0.0) -> None:
        super().__init__()
        self.attention_dropout = attention_dropout
        self.qkv_weight = nn.Parameter(torch.empty(heads, 3, head_dim, embed_dim))
        self.qkv_bias = nn.Parameter(torch.zeros(heads, 3, head_dim))
        self.out_weight = nn.Parameter(torch.empty(embed_dim, heads, head_dim))
        self.positions = nn.Parameter(torch.empty(context, head_dim))
        rounded = ("input", "query", "key", "value", "weights", "attended")
        self.rounded: Any = nn.ModuleDict({name: StateRounding() for name in rounded})
        self.activate(embed_dim, heads, head_dim, context)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Xavier-uniform for each projection with fairseq's gain for attention; positions are small."""
        width = self.heads * self.head_dim
        bound = math.sqrt(6 / (self.embed_dim + width))
        nn.init.uniform_(self.qkv_weight, -bound / math.sqrt(2), bound / math.sqrt(2))
        nn.init.uniform_(self.out_weight, -bound, bound)
        nn.init.normal_(self.positions, std=0.02)

    def activate(self, embed_dim: int, heads: int, head_dim: int, context: int) -> None:
        """Use the first features, heads, columns of each head and distances from now on."""
        self.embed_dim, self.heads, self.head_dim, self.context = embed_dim, heads, head_dim, context

    def forward(self, x: Tensor, memory: KeysAndValues | None = None) -> tuple[Tensor, KeysAndValues]:
        """x (batch, time, embed_dim) -> (like x, the memory for what follows: at most context - 1 positions).

        `memory` are keys and values of the positions before x; None at the beginning of a text.
        """
        query, key, value = self._project(self.rounded["input"](x))
        if memory is not None:
            key, value = torch.cat([memory[0], key], dim=2), torch.cat([memory[1], value], dim=2)
        attended = self.rounded["attended"](self._attend(query, key, value))
        weight = self.out_weight[: self.embed_dim, : self.heads, : self.head_dim]
        last = slice(max(0, key.size(2) - (self.context - 1)), None)
        return F.linear(attended.transpose(1, 2).flatten(2), weight.flatten(1)), (key[:, :, last], value[:, :, last])

    def _project(self, x: Tensor) -> list[Tensor]:
        """(batch, time, embed_dim) -> query, key, value, each (batch, heads, time, head_dim)"""
        weight = self.qkv_weight[: self.heads, :, : self.head_dim, : self.embed_dim]
        bias = self.qkv_bias[: self.heads, :, : self.head_dim]
        projected = F.linear(x, weight.flatten(0, 2), bias.flatten()).unflatten(-1, (self.heads, 3, self.head_dim))
        parts = zip(("query", "key", "value"), projected.unbind(3), strict=True)
        return [self.rounded[name](part.transpose(1, 2)) for name, part in parts]

    def _attend(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """query (batch, heads, time, head_dim), key and value with the memory before them -> like query.

        In blocks of queries, each with the keys that any of them sees: the work grows with time * context.
        """
        time, before = query.size(2), self.context - 1
        block = min(time, max(before, 1))
        missing, after = before - (key.size(2) - time), -time % block  # keys that there aren't; to a whole block
        query = F.pad(query * self.head_dim**-0.5, (0, 0, 0, after)).unflatten(2, (-1, block))
        key, value = (F.pad(each, (0, 0, missing, after)).unfold(2, block + before, block) for each in (key, value))
        positions = self.positions[: self.context, : self.head_dim].flip(0)  # the farthest first, as keys stand
        scores = query @ key + _slanted(query @ positions.t())
        if missing > 0:
            scores = scores.masked_fill(_absent(missing, scores), -math.inf)
        weights = self.rounded["weights"](torch.softmax(scores, dim=-1))
        attended = dropout(weights, self.attention_dropout, self.training) @ value.transpose(-1, -2)
        return attended.flatten(2, 3)[:, :, :time]


def _slanted(by_distance: Tensor) -> Tensor:
    """(..., block, context), the farthest first -> (..., block, block + context - 1) by key, -inf where none is seen.

    Query a of a block sees the keys a to a + context - 1: each row stands one place further right than the one above.
    """
    block, context = by_distance.shape[-2:]
    rows = F.pad(by_distance, (0, block), value=-math.inf).flatten(-2)
    return rows[..., :-block].unflatten(-1, (block, block + context - 1))


def _absent(missing: int, scores: Tensor) -> Tensor:
    """True for keys before the beginning of the text: (blocks, 1, keys) for scores (..., blocks, block, keys)."""
    blocks, block, keys = scores.shape[-3:]
    device = scores.device
    place = torch.arange(keys, device=device) + block * torch.arange(blocks, device=device)[:, None]
    return (place < missing)[:, None]
