"""Elastic encoder and decoder layers: attention, feed-forward and layer norms around residual connections."""

from collections.abc import Callable
from typing import Any

from torch import Tensor, nn
from torch.nn import functional as F

from hat.architecture.stacks import Architecture
from hat.elastic.attention import ElasticCrossAttention, ElasticSelfAttention
from hat.elastic.dropout import dropout
from hat.elastic.layers import ElasticLayerNorm, ElasticLinear
from hat.elastic.state_rounding import StateRounding
from hat.elastic.windowed_attention import ElasticWindowedAttention, KeysAndValues

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {"relu": F.relu, "gelu": F.gelu}


class _ElasticBlock(nn.Module):
    """What all layers share: self-attention, feed-forward, residual connections, post- or pre-norm."""

    def __init__(self, embed_dim: int, self_attn: Any, spec: Any) -> None:
        super().__init__()
        self.spec = spec
        self.residual_dropout = spec.dropout
        self.self_attn = self_attn
        self.self_attn_layer_norm = ElasticLayerNorm(embed_dim, spec.layer_norm_epsilon)

    def _add_feed_forward(self, embed_dim: int, ffn_dim: int) -> None:
        self.fc1 = ElasticLinear(embed_dim, ffn_dim)
        self.fc2 = ElasticLinear(ffn_dim, embed_dim)
        self.final_layer_norm = ElasticLayerNorm(embed_dim, self.spec.layer_norm_epsilon)

    def _activate_block(self, embed_dim: int, ffn_dim: int, dropout: float, *attention: int) -> None:
        """`attention` is what that of its class is told beside embed_dim, its number of heads first."""
        self.residual_dropout = dropout
        self.self_attn.activate(embed_dim, *attention)
        self.self_attn_layer_norm.activate(embed_dim)
        self.fc1.activate(embed_dim, ffn_dim)
        self.fc2.activate(ffn_dim, embed_dim)
        self.final_layer_norm.activate(embed_dim)

    def _residual(self, x: Tensor, norm: ElasticLayerNorm, function: Callable[[Tensor], Tensor]) -> Tensor:
        """x + dropout(function(x)), normalised after (post-norm) or before (pre-norm) `function`."""
        y = function(norm(x) if self.spec.normalize_before else x)
        x = x + dropout(y, self.residual_dropout, self.training)
        return x if self.spec.normalize_before else norm(x)

    def _feed_forward(self, x: Tensor) -> Tensor:
        return self.fc2(dropout(self._hidden(x), self.spec.activation_dropout, self.training))

    def _hidden(self, x: Tensor) -> Tensor:
        return ACTIVATIONS[self.spec.activation](self.fc1(x))


def _self_attention(architecture: Architecture, name: str, layer: int, spec: Any) -> ElasticSelfAttention:
    """Of a layer in the stack `name`."""
    stack = getattr(architecture, name)
    heads = stack.self_attention_heads[layer]
    return ElasticSelfAttention(
        stack.embed_dim, architecture.qkv_dim, heads, spec.attention_dropout, architecture.head_dim
    )


class ElasticEncoderLayer(_ElasticBlock):
    """One encoder layer; weights for the full sizes of `architecture` in its layer of that index."""

    def __init__(self, architecture: Architecture, layer: int, spec: Any) -> None:
        full = architecture.encoder
        super().__init__(full.embed_dim, _self_attention(architecture, "encoder", layer, spec), spec)
        self._add_feed_forward(full.embed_dim, full.ffn_dim[layer])

    def activate(self, embed_dim: int, ffn_dim: int, heads: int, dropout: float) -> None:
        """Use the first features of each weight from now on; `dropout` is the scaled residual dropout."""
        self._activate_block(embed_dim, ffn_dim, dropout, heads)

    def forward(self, x: Tensor, key_mask: Tensor | None) -> Tensor:
        """x (batch, time, embed_dim); key_mask (batch, 1, 1, time) or None -> like x"""
        x = self._residual(x, self.self_attn_layer_norm, lambda y: self.self_attn(y, key_mask))
        return self._residual(x, self.final_layer_norm, self._feed_forward)


class ElasticDecoderLayer(_ElasticBlock):
    """One decoder layer; weights for the full sizes of `architecture` in its layer of that index."""

    def __init__(self, architecture: Architecture, layer: int, spec: Any) -> None:
        full = architecture.decoder
        super().__init__(full.embed_dim, _self_attention(architecture, "decoder", layer, spec), spec)
        self.encoder_attn = ElasticCrossAttention(
            full.embed_dim,
            architecture.encoder.embed_dim,
            architecture.qkv_dim,
            full.cross_attention_heads[layer],
            spec.attention_dropout,
            architecture.head_dim,
        )
        self.encoder_attn_layer_norm = ElasticLayerNorm(full.embed_dim, spec.layer_norm_epsilon)
        self._add_feed_forward(full.embed_dim, full.ffn_dim[layer])

    def activate(
        self, embed_dim: int, encoder_embed_dim: int, ffn_dim: int, heads: int, cross_heads: int, dropout: float
    ) -> None:
        """Use the first features of each weight from now on; `dropout` is the scaled residual dropout."""
        self._activate_block(embed_dim, ffn_dim, dropout, heads)
        self.encoder_attn.activate(embed_dim, encoder_embed_dim, cross_heads)
        self.encoder_attn_layer_norm.activate(embed_dim)

    def forward(self, x: Tensor, memory: Tensor, memory_mask: Tensor | None) -> Tensor:
        """x (batch, time, embed_dim), memory (batch, source, encoder_embed_dim) -> like x; causal."""
        x = self._residual(x, self.self_attn_layer_norm, lambda y: self.self_attn(y, is_causal=True))
        return self._attend_and_feed_forward(x, self.encoder_attn.keys_and_values(memory), memory_mask)

    def forward_step(
        self,
        x: Tensor,
        self_cache: tuple[Tensor, Tensor] | None,
        memory_keys_and_values: tuple[Tensor, Tensor],
        memory_mask: Tensor | None,
    ) -> tuple[Tensor, Any]:
        """One step: x (batch, 1, embed_dim) -> (like x, grown self-attention cache)."""
        grown: Any = None

        def attend(y: Tensor) -> Tensor:
            nonlocal grown
            y, grown = self.self_attn.forward_step(y, self_cache)
            return y

        x = self._residual(x, self.self_attn_layer_norm, attend)
        return self._attend_and_feed_forward(x, memory_keys_and_values, memory_mask), grown

    def _attend_and_feed_forward(
        self, x: Tensor, keys_and_values: tuple[Tensor, Tensor], memory_mask: Tensor | None
    ) -> Tensor:
        x = self._residual(
            x, self.encoder_attn_layer_norm, lambda y: self.encoder_attn(y, keys_and_values, memory_mask)
        )
        return self._residual(x, self.final_layer_norm, self._feed_forward)


class ElasticWindowedLayer(_ElasticBlock):
    """One layer of a decoder that attends to its last positions; weights for the full sizes of `architecture`."""

    def __init__(self, architecture: Architecture, layer: int, spec: Any) -> None:
        full = architecture.decoder
        sizes = full.self_attention_heads[layer], full.head_dim[layer], full.context[layer]
        attention = ElasticWindowedAttention(full.embed_dim, *sizes, spec.attention_dropout)
        super().__init__(full.embed_dim, attention, spec)
        self._add_feed_forward(full.embed_dim, full.ffn_dim[layer])
        self.rounded_input, self.rounded_hidden = StateRounding(), StateRounding()

    def activate(self, embed_dim: int, ffn_dim: int, heads: int, head_dim: int, context: int, dropout: float) -> None:
        """Use the first features of each weight from now on; `dropout` is the scaled residual dropout."""
        self._activate_block(embed_dim, ffn_dim, dropout, heads, head_dim, context)

    def forward(self, x: Tensor, memory: KeysAndValues | None) -> tuple[Tensor, KeysAndValues]:
        """x (batch, time, embed_dim), memory of what is before -> (like x, the memory after it); causal."""
        grown: Any = None

        def attend(y: Tensor) -> Tensor:
            nonlocal grown
            y, grown = self.self_attn(y, memory)
            return y

        x = self._residual(x, self.self_attn_layer_norm, attend)
        return self._residual(x, self.final_layer_norm, self._feed_forward), grown

    def _hidden(self, x: Tensor) -> Tensor:
        return self.rounded_hidden(super()._hidden(self.rounded_input(x)))
