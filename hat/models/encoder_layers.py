"""What the encoders of all tasks share: elastic layers over embedded tokens, whatever the embedding is made of."""

from typing import Any

from torch import Tensor, nn

from hat.architecture.stacks import Architecture, EncoderArchitecture
from hat.elastic.blocks import ElasticEncoderLayer
from hat.elastic.layers import ElasticLayerNorm


class EncoderLayers(nn.Module):
    """Elastic layers, and a last layer norm where they are pre-norm; a subclass embeds the tokens.

    `full_embed_dim` is the SuperTransformer's, over which dropout is scaled.
    """

    def __init__(self, spec: Any, full_embed_dim: int) -> None:
        super().__init__()
        self.spec, self.full_embed_dim = spec, full_embed_dim

    def _add_layers(self, architecture: Architecture) -> None:
        full = architecture.encoder
        self.layers: Any = nn.ModuleList(
            ElasticEncoderLayer(architecture, layer, self.spec) for layer in range(full.layers)
        )
        if self.spec.normalize_before:
            self.layer_norm = ElasticLayerNorm(full.embed_dim, self.spec.layer_norm_epsilon)

    def activate(self, active: EncoderArchitecture) -> None:
        """Compute `active` (an EncoderArchitecture) from now on."""
        self.active = active
        self.dropout = self.spec.dropout * active.embed_dim / self.full_embed_dim
        for layer, ffn_dim, heads in zip(self.layers, active.ffn_dim, active.self_attention_heads, strict=False):
            layer.activate(active.embed_dim, ffn_dim, heads, self.dropout)
        if self.spec.normalize_before:
            self.layer_norm.activate(active.embed_dim)

    def _mask(self, tokens: Tensor, padded: bool | None) -> Tensor | None:
        """(batch, 1, 1, time), True where there is a token of `tokens` (batch, time); None without any padding.

        `padded` tells whether there is any; if None the tokens are looked at, for which a GPU's work is waited for.
        """
        present = tokens.ne(self.spec.padding)
        if padded is None:
            padded = not bool(present.all())
        return present[:, None, None, :] if padded else None

    def _states(self, x: Tensor, mask: Tensor | None) -> list[Tensor]:
        """The output of each active layer, none normalised further: x (batch, time, embed_dim) -> [like x]"""
        states = []
        for layer in self.layers[: self.active.layers]:
            x = layer(x, mask)
            states.append(x)
        return states
