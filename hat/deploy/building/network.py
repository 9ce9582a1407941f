"""What graphs are built of: a SubTransformer with its weights, and how its products are to be computed."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hat.architecture.stacks import Architecture
from hat.deploy.building.products import Ranges


@dataclass(frozen=True)
class Heads:
    """The heads of one attention: how many, and the width of each."""

    count: int
    dim: int

    @property
    def width(self) -> int:
        """Of the queries, keys and values, all heads together."""
        return self.count * self.dim


@dataclass(frozen=True)
class Network:
    """An Architecture, its task's spec and float32 `weights`, to be computed in `precision`.

    Weights are named and shaped as `hat.architecture.complexity.parameter_shapes` says, but without pruned heads and
    FFN neurons, and with ColumnBlocks for some matrices (see `compaction`). `ranges` {product name: (low, high)} are
    the calibrated ones of the inputs of int8 products, without which int8 graphs are good for timing only.
    """

    architecture: Architecture
    spec: Any
    weights: Mapping[str, Any]
    precision: str
    ranges: Ranges | None = None

    def self_attention(self, stack: str, layer: int) -> Heads:
        """The Heads of a layer's self-attention in the `stack` of that name."""
        designed = getattr(self.architecture, stack).self_attention_heads[layer]
        return self._heads(f"{stack}.layers.{layer}.self_attn", self._width(designed))

    def windowed_attention(self, layer: int) -> Heads:
        """The Heads of a decoder layer's attention to its last positions."""
        return self._heads(f"decoder.layers.{layer}.self_attn", self.architecture.decoder.head_dim[layer])

    def cross_attention(self, layer: int) -> Heads:
        """The Heads of a decoder layer's encoder-decoder attention."""
        designed = self.architecture.decoder.cross_attention_heads[layer]
        return self._heads(f"decoder.layers.{layer}.encoder_attn", self._width(designed))

    def _width(self, designed: int) -> int:
        """Of each of so many heads."""
        return self.architecture.attention_dim(designed) // designed

    def _heads(self, name: str, dim: int) -> Heads:
        return Heads(self.weights[f"{name}.out_proj.weight"].shape[1] // dim, dim)
