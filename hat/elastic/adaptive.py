"""Adaptive embedding and softmax (Grave et al. 2017, Baevski and Auli 2019), elastic in the width of each bin.

Words are numbered by falling frequency and cut into bins; the tables of rarer bins have fewer columns, and projections
to and from the states. Of the first bin the table is as wide as the states and there is no projection.
"""

import itertools
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hat.elastic.layers import ElasticEmbedding, ElasticLinear
from hat.elastic.state_rounding import StateRounding


class _Bins:
    """Which words are in which bin: bin i has those from `edges[i]` to below `edges[i + 1]`."""

    def __init__(self, vocabulary: int, cutoffs: Sequence[int]) -> None:
        self.edges = (0, *cutoffs, vocabulary)

    def __len__(self) -> int:
        return len(self.edges) - 1

    def places(self, words: Tensor, index: int) -> tuple[Tensor, ...]:
        """Where `words` are of this bin, as an index of them."""
        return ((words >= self.edges[index]) & (words < self.edges[index + 1])).nonzero(as_tuple=True)


class ElasticAdaptiveEmbedding(nn.Module):
    """A table of `widths[i]` columns for bin i, and for each but the first a projection to the states' width.

    That is the first of `widths`.
    """

    def __init__(self, vocabulary: int, cutoffs: Sequence[int], widths: Sequence[int]) -> None:
        super().__init__()
        self.bins = _Bins(vocabulary, cutoffs)
        sizes = [end - start for start, end in itertools.pairwise(self.bins.edges)]
        self.tables: Any = nn.ModuleList(map(ElasticEmbedding, sizes, widths))
        self.projections: Any = nn.ModuleList(ElasticLinear(width, widths[0], bias=False) for width in widths[1:])
        self.activate(widths)

    def activate(self, widths: Sequence[int]) -> None:
        """Use the first columns of each bin's table, and give so many features as of the first, from now on."""
        self.active = tuple(widths)
        for projection, width in zip(self.projections, widths[1:], strict=True):
            projection.activate(width, widths[0])

    def weight(self, index: int) -> Tensor:
        """The active columns of a bin's table."""
        return self.tables[index].weight[:, : self.active[index]]

    def forward(self, words: Tensor) -> Tensor:
        """(batch, time) int64 -> (batch, time, embed_dim)"""
        if len(self.bins) == 1:
            return F.embedding(words, self.weight(0))
        result = self.weight(0).new_zeros(*words.shape, self.active[0])
        for index in range(len(self.bins)):
            places = self.bins.places(words, index)
            found = F.embedding(words[places] - self.bins.edges[index], self.weight(index))
            result[places] = self.projections[index - 1](found) if index else found
        return result


class ElasticAdaptiveSoftmax(nn.Module):
    """The distribution of the next word; the tables are those of an ElasticAdaptiveEmbedding, the rest its own.

    The first bin has a class more for each other bin, whose words share its probability. `biases` are a value a word.
    """

    def __init__(self, embedding: ElasticAdaptiveEmbedding) -> None:
        super().__init__()
        self._embedding = (embedding,)  # in a tuple: the weights are registered once, as the embedding's
        dim, *later = embedding.active
        self.biases = nn.ParameterList(torch.zeros(table.num_embeddings) for table in embedding.tables)
        self.projections: Any = nn.ModuleList(ElasticLinear(dim, width, bias=False) for width in later)
        self.rounded: Any = nn.ModuleList(StateRounding() for _ in later)
        if later:
            self.classes = ElasticLinear(dim, len(later))
        self.activate(embedding.active)

    @property
    def embedding(self) -> ElasticAdaptiveEmbedding:
        """Whose tables are the output's."""
        return self._embedding[0]

    def activate(self, widths: Sequence[int]) -> None:
        """Use the first columns of each bin's table, the first as many as features; to be told the embedding too."""
        for projection, width in zip(self.projections, widths[1:], strict=True):
            projection.activate(widths[0], width)
        if len(self.projections):
            self.classes.activate(widths[0], len(self.projections))

    def losses(self, features: Tensor, words: Tensor) -> Tensor:
        """Negative log-likelihoods in nats: features (tokens, embed_dim), words (tokens,) int64 -> (tokens,)"""
        bins, head = self.embedding.bins, self._head(features)
        if len(bins) == 1:
            return F.cross_entropy(head, words, reduction="none")
        head_target, tails = words.clone(), torch.zeros_like(head[:, 0])
        for index in range(1, len(bins)):
            places = bins.places(words, index)
            head_target[places] = bins.edges[1] + index - 1
            tail = self._tail(features[places], index)
            tails[places] = F.cross_entropy(tail, words[places] - bins.edges[index], reduction="none")
        return F.cross_entropy(head, head_target, reduction="none") + tails

    def taught_losses(
        self, features: Tensor, words: Tensor, labels: Tensor, probabilities: Tensor
    ) -> tuple[Tensor, Tensor]:
        """(what `losses` gives, cross entropies in nats with a teacher's most probable words), both (tokens,)

        labels (tokens, k) int64, probabilities (tokens, k). Of the labels count those in the first bin and in that of
        `words`, so that no other is computed; their probabilities add up to 1. Where none counts, the word itself does.
        """
        logs, near = self._logs_nearby(features, words, torch.cat([words[:, None], labels], dim=1))
        lesson = probabilities.to(logs.dtype) * near[:, 1:]
        total = lesson.sum(dim=1)
        taught = -(lesson * logs[:, 1:]).sum(dim=1) / torch.where(total > 0, total, 1)
        return -logs[:, 0], torch.where(total > 0, taught, -logs[:, 0])

    def _logs_nearby(self, features: Tensor, words: Tensor, asked: Tensor) -> tuple[Tensor, Tensor]:
        """Log-probabilities of the words `asked` (tokens, n), right where they are in the first bin or in that of
        `words`, and whether they are.
        """
        edges = self.embedding.bins.edges
        head, near = torch.log_softmax(self._head(features), dim=-1), asked < edges[1]
        logs = head.gather(1, asked.where(near, 0))
        for index in range(1, len(self.embedding.bins)):
            (rows,) = self.embedding.bins.places(words, index)
            tail, numbers = torch.log_softmax(self._tail(features[rows], index), dim=-1), asked[rows] - edges[index]
            inside = (numbers >= 0) & (numbers < tail.size(1))
            of_bin = head[rows, edges[1] + index - 1, None]
            logs[rows] = (of_bin + tail.gather(1, numbers.where(inside, 0))).where(inside, logs[rows])
            near[rows] |= inside
        return logs, near

    def log_probabilities(self, features: Tensor) -> Tensor:
        """Of all words, exact: (..., embed_dim) -> (..., vocabulary)"""
        first = self.embedding.bins.edges[1]
        head = torch.log_softmax(self._head(features), dim=-1)
        parts = [head[..., :first]]
        for index in range(1, len(self.embedding.bins)):
            of_bin = head[..., first + index - 1, None]
            parts.append(of_bin + torch.log_softmax(self._tail(features, index), dim=-1))
        return torch.cat(parts, dim=-1)

    def _head(self, features: Tensor) -> Tensor:
        """Logits of the first bin's words, then of the classes: (..., embed_dim) -> (..., words + classes)"""
        words = F.linear(features, self.embedding.weight(0), self.biases[0])
        return torch.cat([words, self.classes(features)], dim=-1) if len(self.projections) else words

    def _tail(self, features: Tensor, index: int) -> Tensor:
        """Logits of a later bin's words."""
        projected = self.rounded[index - 1](self.projections[index - 1](features))
        return F.linear(projected, self.embedding.weight(index), self.biases[index])
