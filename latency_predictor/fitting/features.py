"""What a latency predictor sees of an architecture: named columns of numbers.

The raw columns are the choices themselves. The physical ones, computed from them by `_physical` alone, are what time is
nearly a sum of: layers (each has its overhead), work and bytes (a weight matrix of a x b costs a*b of both, one
sentence being translated at a time), heads, and encoder layers attended to.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from hat.architecture.space import SearchSpace
from hat.architecture.stacks import Architecture

# HAT's published samples describe an architecture by these columns, per-layer choices averaged over active layers.
AVERAGED = {
    "encoder_embed_dim": ("encoder", "embed_dim"),
    "encoder_layer_num": ("encoder", "layers"),
    "encoder_ffn_embed_dim_avg": ("encoder", "ffn_dim"),
    "encoder_self_attention_heads_avg": ("encoder", "self_attention_heads"),
    "decoder_embed_dim": ("decoder", "embed_dim"),
    "decoder_layer_num": ("decoder", "layers"),
    "decoder_ffn_embed_dim_avg": ("decoder", "ffn_dim"),
    "decoder_self_attention_heads_avg": ("decoder", "self_attention_heads"),
    "decoder_ende_attention_heads_avg": ("decoder", "cross_attention_heads"),
    "decoder_arbitrary_ende_attn_avg": ("decoder", "cross_attention_span"),
}
WIDTHS_AND_DEPTHS = ("embed_dim", "layers")  # one value a stack; every other field has one a layer
Totals = Mapping[Any, np.ndarray]  # of each (stack, field)


@dataclass(frozen=True)
class Inputs:
    """Both views of the same architectures: `raw` (n, raw columns) and `physical` (n, physical columns), float64."""

    raw: np.ndarray
    physical: np.ndarray

    def __len__(self) -> int:
        return len(self.raw)

    def rows(self, chosen: np.ndarray) -> "Inputs":
        """The Inputs of some rows: indices or a mask."""
        return Inputs(self.raw[chosen], self.physical[chosen])

    def all(self) -> np.ndarray:
        """Raw columns, then physical ones."""
        return np.hstack([self.raw, self.physical])


@dataclass(frozen=True)
class AveragedFeatures:
    """HAT's 10 columns (`AVERAGED`). They say nothing of a space, so any architecture is accepted."""

    depth_names = ("encoder_layer_num", "decoder_layer_num")

    @property
    def physical_names(self) -> tuple[str, ...]:
        """Names of the physical columns."""
        return tuple(_physical({field: np.zeros(0) for field in AVERAGED.values()}))

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(AVERAGED)

    @property
    def dimensions(self) -> dict[str, list[int]]:
        """Columns of the dimensions of which a value is always a choice: {dimension: column indices}."""
        fields = list(AVERAGED.values())
        return {".".join(field): [fields.index(field)] for field in fields if field[1] in WIDTHS_AND_DEPTHS}

    def matrix(self, architectures: Sequence[Architecture]) -> np.ndarray:
        """Raw features of each architecture, float64 (architectures, 10)."""
        rows = [[getattr(getattr(item, stack), field) for stack, field in AVERAGED.values()] for item in architectures]
        return np.array([[np.mean(value) for value in row] for row in rows], dtype=np.float64)

    def inputs(self, matrix: np.ndarray) -> Inputs:
        """Inputs of a raw matrix (n, 10); sums over layers are averages times depth."""
        columns = dict(zip(AVERAGED.values(), matrix.T, strict=True))
        totals = {
            (stack, field): values if field in WIDTHS_AND_DEPTHS else values * columns[stack, "layers"]
            for (stack, field), values in columns.items()
        }
        return Inputs(matrix, np.column_stack(list(_physical(totals).values())))


@dataclass(frozen=True)
class PerLayerFeatures:
    """One raw column per gene of a search space, zero for inactive layers: they tell every two architectures apart."""

    space: SearchSpace

    @property
    def depth_names(self) -> tuple[str, ...]:
        return tuple(gene.name for gene in self.space.genes if gene.field == "layers")

    @property
    def physical_names(self) -> tuple[str, ...]:
        """Names of the physical columns."""
        return tuple(self._physical(np.zeros((0, len(self.names)))))

    def _physical(self, matrix: np.ndarray) -> dict[str, np.ndarray]:
        by_layer = {tuple(name.split(".")): matrix[:, columns] for name, columns in self.dimensions.items()}
        totals = {field: values.sum(axis=1) for field, values in by_layer.items()}
        columns = _physical(totals)
        if self.space.head_dim is not None:
            columns |= _widths_of_heads(totals)
        if ("decoder", "context") in by_layer:
            columns |= _windows(by_layer)
        if ("decoder", "bin_dims") in by_layer:
            columns |= _tables(by_layer)
        return columns

    @cached_property
    def names(self) -> tuple[str, ...]:
        return tuple(gene.name for gene in self.space.genes)

    @cached_property
    def dimensions(self) -> dict[str, list[int]]:
        """Columns of each dimension, its layers together: {dimension: column indices}."""
        found: dict[str, list[int]] = {}
        for column, gene in enumerate(self.space.genes):
            found.setdefault(f"{gene.stack}.{gene.field}", []).append(column)
        return found

    def matrix(self, architectures: Sequence[Architecture]) -> np.ndarray:
        """Raw features of each architecture, float64 (architectures, genes).

        Raises UsageError naming the value that isn't a choice of the space.
        """
        widths = {dimension: len(columns) for dimension, columns in self.dimensions.items()}
        complete = map(self.space.completed, architectures)
        matrix = np.array([_row(architecture, widths) for architecture in complete], dtype=np.float64)
        self._check(matrix, architectures)
        return matrix

    def _check(self, matrix: np.ndarray, architectures: Sequence[Architecture]) -> None:
        head_width = (self.space.qkv_dim, self.space.head_dim)
        allowed = np.all([(item.qkv_dim, item.head_dim) == head_width for item in architectures])
        for gene, column in zip(self.space.genes, matrix.T, strict=True):
            inactive = () if gene.layer is None else (0,)
            allowed &= np.isin(column, gene.choices + inactive).all()
        if not allowed:
            for architecture in architectures:
                self.space.encode(architecture)  # raises for the one that is outside of the space

    def inputs(self, matrix: np.ndarray) -> Inputs:
        """Inputs of a raw matrix (n, genes)."""
        return Inputs(matrix, np.column_stack(list(self._physical(matrix).values())))


Features = AveragedFeatures | PerLayerFeatures


def _row(architecture: Architecture, widths: Mapping[str, int]) -> list[int]:
    """The values of every dimension in the order of the genes, each filled up with zeros, or cut, to its width."""
    row: list[int] = []
    for dimension, width in widths.items():
        stack, field = dimension.split(".")
        value = getattr(getattr(architecture, stack), field)
        row += (value + (0,) * width)[:width] if isinstance(value, tuple) else [value]
    return row


def _physical(totals: Totals) -> dict[str, np.ndarray]:
    """{name: (n,)} of what time is nearly linear in.

    `totals` holds (n,) for each (stack, field): the width and depth of a stack, and every other choice summed over
    the stack's layers. Attention's projections have embed_dim x qkv_dim weights a layer where qkv_dim is fixed.
    """
    columns: dict[str, np.ndarray] = {}
    for stack in dict.fromkeys(stack for stack, _ in totals):
        width, depth, ffn = (totals[stack, field] for field in ("embed_dim", "layers", "ffn_dim"))
        columns |= {
            f"{stack}.layers": depth,
            f"{stack}.sqrt(layers)": np.sqrt(depth),  # the first layer, whose weights were last read longest ago
            f"{stack}.embed_dim": width,  # embeddings, and the decoder's output layer
            f"{stack}.embed_dim*layers": width * depth,  # projections of attention, layer norms
            f"{stack}.ffn_dim": ffn,
            f"{stack}.embed_dim*ffn_dim": width * ffn,
            f"{stack}.self_attention_heads": totals[stack, "self_attention_heads"],
        }
    if ("decoder", "cross_attention_span") not in totals:
        return columns
    memory, spans = totals["encoder", "embed_dim"], totals["decoder", "cross_attention_span"]
    return columns | {
        "decoder.cross_attention_heads": totals["decoder", "cross_attention_heads"],
        "decoder.cross_attention_span": spans,  # encoder states that each step attends to
        "encoder.embed_dim*decoder.layers": memory * totals["decoder", "layers"],  # keys' and values' projections
        "encoder.embed_dim*cross_attention_span": memory * spans,  # ... of every encoder layer attended to
    }


def _widths_of_heads(totals: Totals) -> dict[str, np.ndarray]:
    """{name: (n,)}: where each head has a width of its own, projections have embed_dim x heads x head_dim weights."""
    columns = {
        f"{stack}.embed_dim*self_attention_heads": totals[stack, "embed_dim"] * heads
        for (stack, field), heads in totals.items()
        if field == "self_attention_heads"
    }
    if ("decoder", "cross_attention_heads") in totals:
        heads = totals["decoder", "cross_attention_heads"]
        for stack in ("decoder", "encoder"):  # queries of the one, keys and values of the other
            columns[f"{stack}.embed_dim*cross_attention_heads"] = totals[stack, "embed_dim"] * heads
    return columns


def _windows(by_layer: Mapping[Any, np.ndarray]) -> dict[str, np.ndarray]:
    """{name: (n,)} of a decoder whose layers have a width of heads and a window each, of (n, layers) of every field."""
    heads, head_dim, context = (by_layer["decoder", field] for field in ("self_attention_heads", "head_dim", "context"))
    widths = heads * head_dim
    return {
        "decoder.embed_dim*attention_dim": by_layer["decoder", "embed_dim"][:, 0] * widths.sum(axis=1),
        "decoder.context": context.sum(axis=1),  # positions whose distances are looked up
        "decoder.context*attention_dim": (context * widths).sum(axis=1),  # keys and values attended to
    }


def _tables(by_layer: Mapping[Any, np.ndarray]) -> dict[str, np.ndarray]:
    """{name: (n,)} of the tables of words, of (n, layers) of every field; of `bin_dims` (n, bins after the first)."""
    bin_dims = by_layer["decoder", "bin_dims"]
    columns = {f"decoder.bin_dims.{index}": width for index, width in enumerate(bin_dims.T)}  # of so many words each
    projections = by_layer["decoder", "embed_dim"][:, 0] * bin_dims.sum(axis=1)
    return columns | {"decoder.embed_dim*bin_dims": projections}
