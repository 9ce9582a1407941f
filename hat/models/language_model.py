"""The language model built from an Architecture, and the SuperTransformer that holds every one of a space."""

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from torch import Tensor, nn

from hat.architecture.stacks import Architecture, DecoderArchitecture
from hat.elastic.adaptive import ElasticAdaptiveEmbedding, ElasticAdaptiveSoftmax
from hat.elastic.blocks import ElasticWindowedLayer
from hat.elastic.cache import NeuralCache, Past
from hat.elastic.dropout import dropout
from hat.elastic.layers import ElasticLayerNorm
from hat.elastic.state_rounding import StateRounding, round_states
from hat.elastic.windowed_attention import KeysAndValues
from hat.models.language_model_spec import LanguageModelSpec
from hat.models.supernetwork import SuperNetwork

Memory = Sequence[KeysAndValues]  # of each active layer, of what stands before


class WindowedDecoder(nn.Module):
    """Elastic layers that each attend to their own last positions, and a layer norm after them."""

    def __init__(self, architecture: Architecture, spec: LanguageModelSpec) -> None:
        super().__init__()
        self.spec, full = spec, architecture.decoder
        layers = [ElasticWindowedLayer(architecture, layer, spec) for layer in range(full.layers)]
        self.layers: Any = nn.ModuleList(layers)
        self.layer_norm = ElasticLayerNorm(full.embed_dim, spec.layer_norm_epsilon)

    def activate(self, active: DecoderArchitecture) -> None:
        """Compute `active` (a DecoderArchitecture) from now on."""
        self.active = active
        residual_dropout = self.spec.dropout * active.embed_dim / self.spec.full_embed_dim
        sizes = zip(active.ffn_dim, active.self_attention_heads, active.head_dim, active.context, strict=True)
        for layer, (ffn_dim, heads, head_dim, context) in zip(self.layers, sizes, strict=False):
            layer.activate(active.embed_dim, ffn_dim, heads, head_dim, context, residual_dropout)
        self.layer_norm.activate(active.embed_dim)

    def forward(self, x: Tensor, memory: Memory | None) -> tuple[Tensor, list[KeysAndValues]]:
        """x (batch, time, embed_dim), memory of what stands before it -> (like x, the memory after it)"""
        grown = []
        for index, layer in enumerate(self.layers[: self.active.layers]):
            x, kept = layer(x, None if memory is None else memory[index])
            grown.append(kept)
        return self.layer_norm(x), grown


class LanguageModel(nn.Module):
    """A language model with the sizes of `architecture`, holding only its own weights.

    Names and shapes of its state dict are those of `hat.architecture.complexity.parameter_shapes`.
    """

    def __init__(self, architecture: Architecture, spec: LanguageModelSpec) -> None:
        super().__init__()
        self.architecture, self.spec = architecture, spec
        widths = spec.bin_widths(architecture.decoder)
        self.embedding = ElasticAdaptiveEmbedding(spec.vocabulary, spec.cutoffs, widths)
        self.decoder = WindowedDecoder(architecture, spec)
        self.output = ElasticAdaptiveSoftmax(self.embedding)
        self.cache = NeuralCache(spec.cache) if spec.cache else None
        self.rounded_features = StateRounding()
        round_states(self, spec.bits, spec.bounds)
        self._activate(architecture)

    def _activate(self, architecture: Architecture) -> None:
        widths = self.spec.bin_widths(architecture.decoder)
        self.embedding.activate(widths)
        self.decoder.activate(architecture.decoder)
        self.output.activate(widths)
        self._dropout_scale = architecture.decoder.embed_dim / self.spec.full_embed_dim

    def forward(self, words: Tensor, memory: Memory | None = None) -> tuple[Tensor, list[KeysAndValues]]:
        """words (batch, time), memory of what stands before them -> (features (batch, time, embed_dim), new memory).

        The features at a word are of the one after it: `output` turns them into losses or log-probabilities. Text may
        be read in parts of any length, each with the memory that the one before it left: the features are the same.
        """
        x = self.embedding(words) * math.sqrt(self.decoder.active.embed_dim)
        x = dropout(x, self.spec.embedding_dropout * self._dropout_scale, self.training)
        x, grown = self.decoder(x, memory)
        x = dropout(self.rounded_features(x), self.spec.output_dropout * self._dropout_scale, self.training)
        return x, grown

    def log_probabilities(self, features: Tensor, words: Tensor, past: Past | None = None) -> Tensor:
        """Of all words, exact, by a cache too: features (batch, time, embed_dim) -> (batch, time, vocabulary)

        words (batch, time) are those that follow, `past` what the cache has of those before.
        """
        found = self.output.log_probabilities(features)
        return found if self.cache is None else self.cache.log_probabilities(found, features, words, past)

    def round_states(self, bits: int | None, bounds: Sequence[float]) -> None:
        """Round the operands of all products but the weights from now on, as the new `spec` says."""
        self.spec = replace(self.spec, bits=bits, bounds=tuple(bounds))
        round_states(self, bits, bounds)


class SuperLanguageModel(SuperNetwork, LanguageModel):
    """Holds every language model of a space."""

    standalone = LanguageModel
