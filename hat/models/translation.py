"""The Transformer built from an Architecture, and the SuperTransformer that holds every SubTransformer."""

import math
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from hat.architecture.stacks import Architecture, DecoderArchitecture
from hat.elastic.blocks import ElasticDecoderLayer
from hat.elastic.dropout import dropout
from hat.elastic.layers import ElasticEmbedding, ElasticLayerNorm
from hat.elastic.positions import SinusoidalPositions
from hat.models.encoder_layers import EncoderLayers
from hat.models.supernetwork import SuperNetwork
from hat.models.translation_spec import ModelSpec


@dataclass
class EncoderOutput:
    """`states`: one (batch, source, embed_dim) per active layer, normalised; see `mask`.

    `mask` is (batch, 1, 1, source), True where there is a token, or None without any padding.
    """

    states: list
    mask: torch.Tensor | None

    def memory(self, span: int) -> tuple[Tensor, Tensor | None]:
        """The last `span` states concatenated along time, last layer first, and the mask that fits them."""
        states = self.states[-1 : -span - 1 : -1]
        memory = states[0] if span == 1 else torch.cat(states, dim=1)
        return memory, None if self.mask is None else self.mask.repeat(1, 1, 1, span)

    def select(self, index: Tensor) -> "EncoderOutput":
        """The rows `index` of the batch."""
        mask = None if self.mask is None else self.mask.index_select(0, index)
        return EncoderOutput([state.index_select(0, index) for state in self.states], mask)


@dataclass
class DecoderCache:
    """Keys and values of the steps done so far (`self_attention`) and of the encoder (`memory`), per layer.

    Each key or value is (batch, heads, steps or source, head_dim).
    """

    steps: int = 0
    self_attention: list = field(default_factory=list)
    memory: list = field(default_factory=list)

    def reorder(self, index: Tensor) -> None:
        """Keep the rows `index` of the batch, in that order."""
        for kept in (self.self_attention, self.memory):
            kept[:] = [tuple(tensor.index_select(0, index) for tensor in pair) for pair in kept]


class Encoder(EncoderLayers):
    """Embedding, positions and elastic layers."""

    def __init__(self, architecture: Architecture, spec: ModelSpec) -> None:
        super().__init__(spec, spec.encoder_position_dim)
        width = architecture.encoder.embed_dim
        if spec.share_all_embeddings:
            width = max(width, architecture.decoder.embed_dim)
        self.embed_tokens = ElasticEmbedding(spec.source_vocabulary, width, spec.padding)
        self.positions = SinusoidalPositions(spec.encoder_position_dim, spec.padding)
        self._add_layers(architecture)

    def forward(self, src_tokens: Tensor, padded: bool | None = None) -> EncoderOutput:
        """src_tokens (batch, source) -> EncoderOutput; padding may stand on either side.

        `padded` tells whether there is any; without it the tokens are looked at, for which a GPU's work is waited for.
        """
        dim = self.active.embed_dim
        x = self.embed_tokens(src_tokens, dim) * math.sqrt(dim) + self.positions.of_tokens(src_tokens, dim)
        x = dropout(x, self.dropout, self.training)
        mask = self._mask(src_tokens, padded)
        states = self._states(x, mask)
        if self.spec.normalize_before:
            states = [self.layer_norm(state) for state in states]
        return EncoderOutput(states, mask)


class Decoder(nn.Module):
    """Embedding, positions, elastic layers and the output product; shares embeddings as the spec says."""

    def __init__(self, architecture: Architecture, spec: ModelSpec, encoder_embedding: ElasticEmbedding) -> None:
        super().__init__()
        self.spec = spec
        full = architecture.decoder
        if spec.share_all_embeddings:
            self._shared_embedding = (encoder_embedding,)  # in a tuple: the encoder's state dict holds it
        else:
            self.embed_tokens = ElasticEmbedding(spec.target_vocabulary, full.embed_dim, spec.padding)
        self.positions = SinusoidalPositions(spec.decoder_position_dim, spec.padding)
        self.layers: Any = nn.ModuleList(ElasticDecoderLayer(architecture, layer, spec) for layer in range(full.layers))
        if spec.normalize_before:
            self.layer_norm = ElasticLayerNorm(full.embed_dim)
        if not (spec.share_all_embeddings or spec.share_decoder_input_output_embed):
            self.output_projection = ElasticEmbedding(spec.target_vocabulary, full.embed_dim, spec.padding)

    def activate(self, active: DecoderArchitecture, encoder_embed_dim: int) -> None:
        """Compute `active` (a DecoderArchitecture) from now on, fed by an encoder of that width."""
        self.active = active
        self.dropout = self.spec.dropout * active.embed_dim / self.spec.decoder_position_dim
        per_layer = zip(active.ffn_dim, active.self_attention_heads, active.cross_attention_heads, strict=True)
        for layer, (ffn_dim, heads, cross_heads) in zip(self.layers, per_layer, strict=False):
            layer.activate(active.embed_dim, encoder_embed_dim, ffn_dim, heads, cross_heads, self.dropout)
        if self.spec.normalize_before:
            self.layer_norm.activate(active.embed_dim)

    @property
    def embedding(self) -> ElasticEmbedding:
        return self._shared_embedding[0] if self.spec.share_all_embeddings else self.embed_tokens

    @property
    def output_embedding(self) -> ElasticEmbedding:
        """The table whose rows, multiplied with the features, are the logits."""
        separate = not (self.spec.share_all_embeddings or self.spec.share_decoder_input_output_embed)
        return self.output_projection if separate else self.embedding

    def output_weight(self) -> Tensor:
        """The active columns of the output embedding: (vocabulary, embed_dim)."""
        return self.output_embedding.weight[:, : self.active.embed_dim]

    def new_cache(self) -> DecoderCache:
        """An empty DecoderCache for incremental decoding."""
        return DecoderCache()

    def forward(
        self, prev_output_tokens: Tensor, encoder_output: EncoderOutput, cache: DecoderCache | None = None
    ) -> Tensor:
        """prev_output_tokens (batch, target), padded on the right -> logits (batch, target, vocabulary).

        With a `cache` only the last token is computed: logits (batch, 1, vocabulary), and the cache grows.
        """
        if cache is not None:
            return self._forward_step(prev_output_tokens[:, -1:], encoder_output, cache)
        return self.output_embedding.logits(self.features(prev_output_tokens, encoder_output))

    def features(self, prev_output_tokens: Tensor, encoder_output: EncoderOutput) -> Tensor:
        """What `output_embedding` turns into logits: (batch, target, embed_dim) for tokens (batch, target)."""
        dim = self.active.embed_dim
        positions = self.positions.of_tokens(prev_output_tokens, dim)
        x = self.embedding(prev_output_tokens, dim) * math.sqrt(dim) + positions
        x = dropout(x, self.dropout, self.training)
        memories = {span: encoder_output.memory(span) for span in set(self.active.cross_attention_span)}
        for layer, span in zip(self.layers, self.active.cross_attention_span, strict=False):
            x = layer(x, *memories[span])
        return self.layer_norm(x) if self.spec.normalize_before else x

    def _forward_step(self, tokens: Tensor, encoder_output: EncoderOutput, cache: DecoderCache) -> Tensor:
        dim = self.active.embed_dim
        x = self.embedding(tokens, dim) * math.sqrt(dim) + self.positions.of_step(cache.steps, dim)
        active_layers = self.layers[: self.active.layers]
        memories = [encoder_output.memory(span) for span in self.active.cross_attention_span]
        if cache.steps == 0:
            cache.self_attention = [None] * self.active.layers
            cache.memory = [
                layer.encoder_attn.keys_and_values(memory)
                for layer, (memory, _) in zip(active_layers, memories, strict=True)
            ]
        for index, layer in enumerate(active_layers):
            x, cache.self_attention[index] = layer.forward_step(
                x, cache.self_attention[index], cache.memory[index], memories[index][1]
            )
        cache.steps += 1
        return self.output_embedding.logits(self.layer_norm(x) if self.spec.normalize_before else x)


class Transformer(nn.Module):
    """A Transformer with the sizes of `architecture`, holding only its own weights.

    Names and shapes of its state dict are those of `hat.architecture.complexity.parameter_shapes`.
    """

    def __init__(self, architecture: Architecture, spec: ModelSpec) -> None:
        super().__init__()
        self.architecture, self.spec = architecture, spec
        self.encoder = Encoder(architecture, spec)
        self.decoder = Decoder(architecture, spec, self.encoder.embed_tokens)
        self._activate(architecture)

    def _activate(self, architecture: Architecture) -> None:
        self.encoder.activate(architecture.encoder)
        self.decoder.activate(architecture.decoder, architecture.encoder.embed_dim)

    def forward(self, src_tokens: Tensor, prev_output_tokens: Tensor) -> Tensor:
        """src_tokens (batch, source), prev_output_tokens (batch, target) -> logits (batch, target, vocabulary)"""
        return self.decoder(prev_output_tokens, self.encoder(src_tokens))


class SuperTransformer(SuperNetwork, Transformer):
    """Holds every Transformer of a space."""

    standalone = Transformer
