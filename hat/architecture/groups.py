"""What can be removed from a network as a whole: heads, FFN neurons, and columns within blocks of a matrix's rows.

Everything about pruning follows from these groups: what is penalised, ranked, masked, counted, and left out of graphs.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from hat.architecture.complexity import Shapes
from hat.architecture.stacks import Architecture, stacks_of
from hat.errors import UsageError

HEADS, NEURONS, COLUMNS, WEIGHTS = "heads", "neurons", "columns", "weights"


@dataclass(frozen=True, eq=False)
class Slices:
    """What groups own of one weight: group g the slices `index[g]` along `axis`, of `rows` of the weight alone.

    `index` (groups, slices of each); no slice is owned by two.
    """

    weight: str
    axis: int
    index: np.ndarray
    rows: slice = field(default_factory=lambda: slice(None))


@dataclass(frozen=True, eq=False)
class Groups:
    """Groups of one `kind` at one `place`, each with its slices of several weights."""

    kind: str
    place: str
    slices: tuple[Slices, ...]

    @property
    def count(self) -> int:
        return len(self.slices[0].index)

    def size(self, shapes: Shapes) -> int:
        """Parameters of each group."""
        total = 0
        for part in self.slices:
            rows, *columns = shapes[part.weight]
            sizes = [len(range(rows)[part.rows]), *columns]
            total += part.index.shape[1] * math.prod(sizes) // sizes[part.axis]
        return total

    def squared_norms(self, weights: Mapping[str, Any]) -> Any:
        """(groups,) of {name: numpy array or torch tensor}; exactly 0 where all that a group owns is."""
        return self.inner_products(weights, weights)

    def inner_products(self, left: Mapping[str, Any], right: Mapping[str, Any]) -> Any:
        """(groups,): of what each group owns of two {name: numpy array or torch tensor} of the same shapes."""
        total = 0.0
        for part in self.slices:
            products = left[part.weight][part.rows] * right[part.weight][part.rows]
            others = tuple(axis for axis in range(products.ndim) if axis != part.axis)
            along = products.sum(others) if others else products
            total = total + along[part.index].sum(1)
        return total

    def scale(self, weights: Mapping[str, Any], factors: Any) -> None:
        """Multiply all that each group owns of {name: torch tensor} by its factor (groups,), in place."""
        for part in self.slices:
            weight = weights[part.weight][part.rows]  # a view
            along = weight.new_ones(weight.shape[part.axis])
            along[part.index] = factors.to(weight)[:, None]
            weight.mul_(along.reshape(-1, *[1] * (weight.ndim - 1 - part.axis)))


@dataclass(frozen=True, eq=False)
class SingleWeights(Groups):
    """Each of the `total` weights of the tensor that is called as the place is, a group of its own without slices."""

    total: int

    @property
    def count(self) -> int:
        return self.total

    def size(self, shapes: Shapes) -> int:
        return 1

    def inner_products(self, left: Mapping[str, Any], right: Mapping[str, Any]) -> Any:
        return (left[self.place] * right[self.place]).reshape(-1)

    def scale(self, weights: Mapping[str, Any], factors: Any) -> None:
        weight = weights[self.place]
        weight.mul_(factors.to(weight).view_as(weight))


def single_weights(names: Iterable[str], shapes: Shapes) -> list[Groups]:
    """The SingleWeights of the tensors of these names."""
    return [SingleWeights(WEIGHTS, name, (), math.prod(shapes[name])) for name in names]


def heads_and_neurons(architecture: Architecture, shapes: Shapes) -> list[Groups]:
    """The heads of every attention and the neurons of every feed-forward part; `shapes` are those of all weights."""
    found = []
    for stack, item in stacks_of(architecture).items():
        for layer in range(item.layers):
            prefix, heads = f"{stack}.layers.{layer}", item.self_attention_heads[layer]
            if f"{prefix}.self_attn.qkv_weight" in shapes:
                found.append(_windowed_heads(f"{prefix}.self_attn", heads))
            else:
                found.append(_heads(architecture, f"{prefix}.self_attn", heads, {"qkv_proj": 3}))
            if f"{prefix}.encoder_attn.q_proj.weight" in shapes:
                heads = item.cross_attention_heads[layer]
                found.append(_heads(architecture, f"{prefix}.encoder_attn", heads, {"q_proj": 1, "kv_proj": 2}))
            found.append(_neurons(prefix, item.ffn_dim[layer]))
    return found


def _heads(architecture: Architecture, place: str, heads: int, producers: Mapping[str, int]) -> Groups:
    """Of an attention; `producers` {name: how many of query, key and value it stacks}."""
    dim = architecture.attention_dim(heads) // heads
    columns = np.arange(heads * dim).reshape(heads, dim)
    slices = [Slices(f"{place}.out_proj.weight", 1, columns)]
    for name, parts in producers.items():
        if architecture.head_dim is None:  # all queries, all keys, all values
            index = np.arange(parts * heads * dim).reshape(parts, heads, dim).swapaxes(0, 1).reshape(heads, -1)
        else:  # head by head
            index = np.arange(parts * heads * dim).reshape(heads, -1)
        slices += [Slices(f"{place}.{name}.{kind}", 0, index) for kind in ("weight", "bias")]
    return Groups(HEADS, place, tuple(slices))


def _windowed_heads(place: str, heads: int) -> Groups:
    """Of an attention to the last positions, whose weights have an axis of heads; the positions belong to all heads."""
    index = np.arange(heads)[:, None]
    parts = {"qkv_weight": 0, "qkv_bias": 0, "out_weight": 1}
    return Groups(HEADS, place, tuple(Slices(f"{place}.{name}", axis, index) for name, axis in parts.items()))


def _neurons(prefix: str, ffn_dim: int) -> Groups:
    index = np.arange(ffn_dim)[:, None]
    produced = [Slices(f"{prefix}.fc1.{kind}", 0, index) for kind in ("weight", "bias")]
    return Groups(NEURONS, prefix, (*produced, Slices(f"{prefix}.fc2.weight", 1, index)))


def layer_matrices(shapes: Shapes) -> Shapes:
    """Those of the layers' matrices."""
    return {name: shape for name, shape in shapes.items() if ".layers." in name and len(shape) == 2}


def rows_in_common(shapes: Shapes) -> int:
    """The largest number of rows that divides all the layers' matrices."""
    return math.gcd(*(shape[0] for shape in layer_matrices(shapes).values()))


def columns_in_blocks(shapes: Shapes, block_rows: int) -> list[Groups]:
    """The columns of every block of `block_rows` rows of the layers' matrices.

    Raises UsageError where a matrix can't be cut into such blocks.
    """
    matrices = layer_matrices(shapes)
    found = []
    for name, (rows, columns) in matrices.items():
        if rows % block_rows:
            raise UsageError(
                f"blocks of {block_rows} rows do not divide {name.removesuffix('.weight')} of {rows} rows; "
                f"use a divisor of {rows_in_common(shapes)}"
            )
        index = np.arange(columns)[:, None]
        for start in range(0, rows, block_rows):
            block = slice(start, start + block_rows)
            place = f"{name.removesuffix('.weight')}[{start}:{start + block_rows}]"
            found.append(Groups(COLUMNS, place, (Slices(name, 1, index, block),)))
    return found
