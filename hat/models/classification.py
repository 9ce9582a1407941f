"""The encoder-only classifier built from an Architecture, and the SuperTransformer that holds every one of a space."""

import math

import torch
from torch import Tensor, nn

from hat.architecture.stacks import Architecture, EncoderArchitecture
from hat.elastic.dropout import dropout
from hat.elastic.layers import ElasticEmbedding, ElasticLayerNorm, ElasticLinear
from hat.elastic.positions import SinusoidalPositions
from hat.errors import DataError
from hat.models.classifier_spec import ClassifierSpec
from hat.models.encoder_layers import EncoderLayers
from hat.models.supernetwork import SuperNetwork

POOLER_ACTIVATIONS = {"tanh": torch.tanh, "relu": torch.relu}


class ClassifierEncoder(EncoderLayers):
    """Embeddings of tokens, positions and segments, and elastic layers; texts are padded on the right."""

    def __init__(self, architecture: Architecture, spec: ClassifierSpec) -> None:
        super().__init__(spec, spec.position_dim)
        dim = architecture.encoder.embed_dim
        self.embed_tokens = ElasticEmbedding(spec.vocabulary, dim, spec.padding)
        if spec.positions == "learned":
            self.embed_positions = ElasticEmbedding(spec.max_positions, dim)
        else:
            self.positions = SinusoidalPositions(spec.position_dim, spec.padding)
        if spec.segments:
            self.embed_segments = ElasticEmbedding(spec.segments, dim)
        if spec.normalize_embedding:
            self.embedding_layer_norm = ElasticLayerNorm(dim, spec.layer_norm_epsilon)
        self._add_layers(architecture)

    def activate(self, active: EncoderArchitecture) -> None:
        """Compute `active` (an EncoderArchitecture) from now on."""
        super().activate(active)
        if self.spec.normalize_embedding:
            self.embedding_layer_norm.activate(active.embed_dim)

    def forward(self, tokens: Tensor, segments: Tensor | None = None, padded: bool | None = None) -> list[Tensor]:
        """tokens, segments (batch, time) -> [the embedding's, each layer's state], each (batch, time, embed_dim).

        The last state is normalised also where layers are pre-norm. Without `segments` all are 0. `padded` tells
        whether there is any padding; without it the tokens are looked at.
        """
        embedded = dropout(self._embed(tokens, segments), self.dropout, self.training)
        states = [embedded, *self._states(embedded, self._mask(tokens, padded))]
        if self.spec.normalize_before:
            states[-1] = self.layer_norm(states[-1])
        return states

    def _embed(self, tokens: Tensor, segments: Tensor | None) -> Tensor:
        dim = self.active.embed_dim
        x = self.embed_tokens(tokens, dim)
        if self.spec.positions == "learned":
            x = x + self._learned_positions(tokens.size(1), dim)
        else:
            x = x * math.sqrt(dim) + self.positions.of_tokens(tokens, dim)
        if self.spec.segments:
            x = x + self.embed_segments(torch.zeros_like(tokens) if segments is None else segments, dim)
        return self.embedding_layer_norm(x) if self.spec.normalize_embedding else x

    def _learned_positions(self, length: int, dim: int) -> Tensor:
        if length > self.spec.max_positions:
            raise DataError(f"a text of {length} tokens is longer than the model's {self.spec.max_positions}; cut it")
        return self.embed_positions.weight[:length, :dim]


class Classifier(nn.Module):
    """A classifier with the sizes of `architecture`, holding only its own weights.

    Names and shapes of its state dict are those of `hat.architecture.complexity.parameter_shapes`.
    """

    def __init__(self, architecture: Architecture, spec: ClassifierSpec) -> None:
        super().__init__()
        self.architecture, self.spec = architecture, spec
        dim = architecture.encoder.embed_dim
        self.encoder = ClassifierEncoder(architecture, spec)
        self.pooler = ElasticLinear(dim, dim)
        self.classifier = ElasticLinear(dim, len(spec.labels))
        self._activate(architecture)

    def _activate(self, architecture: Architecture) -> None:
        dim = architecture.encoder.embed_dim
        self.encoder.activate(architecture.encoder)
        self.pooler.activate(dim, dim)
        self.classifier.activate(dim, len(self.spec.labels))

    def forward(self, tokens: Tensor, segments: Tensor | None = None, padded: bool | None = None) -> Tensor:
        """tokens, segments (batch, time), padded on the right -> logits (batch, labels); see ClassifierEncoder."""
        return self.classify(self.states(tokens, segments, padded)[-1])

    def states(self, tokens: Tensor, segments: Tensor | None = None, padded: bool | None = None) -> list[Tensor]:
        """Hidden states: the embedding's, then each layer's, each (batch, time, embed_dim)."""
        return self.encoder(tokens, segments, padded)

    def classify(self, state: Tensor) -> Tensor:
        """The last state (batch, time, embed_dim), of which the first token counts -> logits (batch, labels)"""
        pooled = POOLER_ACTIVATIONS[self.spec.pooler_activation](self.pooler(state[:, 0]))
        return self.classifier(dropout(pooled, self.encoder.dropout, self.training))


class SuperClassifier(SuperNetwork, Classifier):
    """Holds every classifier of a space."""

    standalone = Classifier
