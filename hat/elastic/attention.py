"""Multi-head attention with an elastic model width and number of heads.

Not subclasses of `nn.MultiheadAttention`, which ties the width of queries, keys and values to embed_dim;
here it is the fixed `qkv_dim`, which the heads split, or the number of heads times the fixed `head_dim`. The rows of
a fused projection then stand head by head, so that fewer heads use the first rows and columns of every weight.
"""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hat.elastic.layers import ElasticLinear


def _merge_heads(x: Tensor) -> Tensor:
    """(batch, heads, time, width of a head) -> (batch, time, width of all heads)"""
    return x.transpose(1, 2).flatten(2)


def _attend_in_float32(query: Tensor, key: Tensor, value: Tensor, **options: Any) -> Tensor:
    """On CPUs torch's bfloat16 attention is many times slower backwards than its float32 one."""
    with torch.autocast("cpu", enabled=False):
        attended = F.scaled_dot_product_attention(query.float(), key.float(), value.float(), **options)
    return attended.to(query.dtype)


class _ElasticAttention(nn.Module):
    out_proj: ElasticLinear

    def __init__(self, qkv_dim: int | None, head_dim: int | None, heads: int, dropout: float) -> None:
        super().__init__()
        self.qkv_dim, self.head_dim, self.heads, self.dropout = qkv_dim, head_dim, heads, dropout

    @property
    def width(self) -> int:
        """Of the queries, keys and values, all active heads together."""
        return self.qkv_dim or self.heads * self.head_dim

    def _split(self, projected: Tensor, parts: int) -> list[Tensor]:
        """(batch, time, parts * width) -> `parts` tensors (batch, heads, time, width of a head)"""
        if self.head_dim is None:
            stacked = [part.unflatten(-1, (self.heads, -1)) for part in projected.chunk(parts, dim=-1)]
        else:
            stacked = projected.unflatten(-1, (self.heads, -1)).chunk(parts, dim=-1)
        return [part.transpose(1, 2) for part in stacked]

    def _attend(
        self, query: Tensor, key: Tensor, value: Tensor, key_mask: Tensor | None = None, is_causal: bool = False
    ) -> Tensor:
        dropout = self.dropout if self.training else 0.0
        attend: Callable[..., Tensor] = F.scaled_dot_product_attention
        if query.device.type == "cpu" and query.dtype != torch.float32:
            attend = _attend_in_float32
        return self.out_proj(
            _merge_heads(attend(query, key, value, attn_mask=key_mask, dropout_p=dropout, is_causal=is_causal))
        )


class ElasticSelfAttention(_ElasticAttention):
    """Self-attention with one fused projection `qkv_proj` of 3 * width rows: query, key, value (of each head)."""

    def __init__(
        self, embed_dim: int, qkv_dim: int | None, heads: int, dropout: float = 0.0, head_dim: int | None = None
    ) -> None:
        super().__init__(qkv_dim, head_dim, heads, dropout)
        self.qkv_proj = ElasticLinear(embed_dim, 3 * self.width)
        self.out_proj = ElasticLinear(self.width, embed_dim)
        _reset_stacked(self.qkv_proj, 3)

    def activate(self, embed_dim: int, heads: int) -> None:
        """Use the first `embed_dim` features and this many heads from now on."""
        self.heads = heads
        self.qkv_proj.activate(embed_dim, 3 * self.width)
        self.out_proj.activate(self.width, embed_dim)

    def forward(self, x: Tensor, key_mask: Tensor | None = None, is_causal: bool = False) -> Tensor:
        """x (batch, time, embed_dim); key_mask (batch, 1, 1, time), True = attend, or None -> like x"""
        query, key, value = self._split(self.qkv_proj(x), 3)
        return self._attend(query, key, value, key_mask, is_causal)

    def forward_step(self, x: Tensor, cached: tuple[Tensor, Tensor] | None) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """One step: x (batch, 1, embed_dim), cached (key, value) each (batch, heads, steps, head_dim) or None.

        Returns the output like x and the cache with this step appended.
        """
        query, key, value = self._split(self.qkv_proj(x), 3)
        if cached is not None:
            key, value = torch.cat([cached[0], key], dim=2), torch.cat([cached[1], value], dim=2)
        return self._attend(query, key, value), (key, value)


class ElasticCrossAttention(_ElasticAttention):
    """Encoder-decoder attention: `q_proj` from the decoder, `kv_proj` (key, value) from the encoder."""

    def __init__(
        self,
        embed_dim: int,
        encoder_embed_dim: int,
        qkv_dim: int | None,
        heads: int,
        dropout: float = 0.0,
        head_dim: int | None = None,
    ) -> None:
        super().__init__(qkv_dim, head_dim, heads, dropout)
        self.q_proj = ElasticLinear(embed_dim, self.width)
        self.kv_proj = ElasticLinear(encoder_embed_dim, 2 * self.width)
        self.out_proj = ElasticLinear(self.width, embed_dim)
        _reset_stacked(self.q_proj, 1)
        _reset_stacked(self.kv_proj, 2)

    def activate(self, embed_dim: int, encoder_embed_dim: int, heads: int) -> None:
        """Use the first features of decoder and encoder, and this many heads from now on."""
        self.heads = heads
        self.q_proj.activate(embed_dim, self.width)
        self.kv_proj.activate(encoder_embed_dim, 2 * self.width)
        self.out_proj.activate(self.width, embed_dim)

    def keys_and_values(self, memory: Tensor) -> tuple[Tensor, Tensor]:
        """memory (batch, source, encoder_embed_dim) -> key, value (batch, heads, source, head_dim)"""
        key, value = self._split(self.kv_proj(memory), 2)
        return key, value

    def forward(self, x: Tensor, keys_and_values: tuple[Tensor, Tensor], key_mask: Tensor | None = None) -> Tensor:
        """x (batch, time, embed_dim); key_mask (batch, 1, 1, source), True = attend, or None -> like x"""
        (query,) = self._split(self.q_proj(x), 1)
        return self._attend(query, *keys_and_values, key_mask)


def _reset_stacked(linear: ElasticLinear, parts: int) -> None:
    """Xavier-uniform for each of `parts` stacked projections, with fairseq's gain for attention."""
    with torch.no_grad():
        for part in linear.weight.chunk(parts):
            nn.init.xavier_uniform_(part, gain=1 / math.sqrt(2))
