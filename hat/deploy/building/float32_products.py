"""Matrix products and embedding look-ups of a graph, in float32.

`x` is always (rows, features), and a weight is an array or ColumnBlocks. A matrix that serves as embedding and as
output product is stored once. What depends on constants alone goes to the outermost graph, where onnxruntime computes
it once when the session is made.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from hat.deploy.building.column_blocks import ColumnBlocks
from hat.deploy.building.graph_builder import GraphBuilder

Ranges = Mapping[str, tuple[float, float]]  # of the inputs of products, by their names
OUTPUT_PRODUCT = "decoder.output_projection"  # names an output product, whatever its matrix


class Float32Products:
    """Weights as they were trained, (outputs, inputs)."""

    def __init__(self, graph: GraphBuilder, weights: Mapping[str, Any], ranges: Ranges | None = None) -> None:
        self._graph, self._weights = graph, weights
        self._shortlist: str | None = None

    def linear(self, x: str, name: str) -> str:
        """x (rows, inputs) @ weight.T, + bias where there is one -> (rows, outputs)"""
        weight = self._weights[f"{name}.weight"]
        if isinstance(weight, ColumnBlocks):
            return self._linear_by_blocks(x, name, weight)
        parts = [self._matrix(f"{name}.{part}") for part in ("weight", "bias") if f"{name}.{part}" in self._weights]
        return self._graph.node("Gemm", [x, *parts], transB=1)

    def _linear_by_blocks(self, x: str, name: str, weight: ColumnBlocks) -> str:
        found = []
        inputs = some_columns(self._graph, x, weight)
        for number, (some, (block, bias)) in enumerate(zip(inputs, blocks_of(self._weights, name))):
            parts = {"weight": block} if bias is None else {"weight": block, "bias": bias}
            stored = [self._stored(f"{name}.{number}.{part}", array) for part, array in parts.items()]
            found.append(self._graph.node("Gemm", [some, *stored], transA=1, transB=1))
        return joined(self._graph, found)

    def relu_linear(self, x: str, name: str) -> str:
        """linear(relu(x))"""
        return self.linear(self._graph.node("Relu", [x]), name)

    def embed(self, tokens: str, name: str, dim: int) -> str:
        """tokens (rows,) -> the first `dim` features of their rows, times sqrt(dim): (rows, dim)"""
        rows = self.look_up(tokens, name)
        rows = first_columns(self._graph, rows, self._weights[name].shape[1], dim)
        return self._graph.node("Mul", [rows, self._graph.constant(dim**0.5, np.float32)])

    def look_up(self, tokens: str, name: str) -> str:
        """Rows of a matrix: tokens of any shape -> (*shape, features)"""
        return self._graph.node("Gather", [self._matrix(name), tokens], axis=0)

    def logits(self, x: str, name: str, dim: int, product: str = OUTPUT_PRODUCT) -> str:
        """x (rows, dim) @ matrix[:, :dim].T -> (rows, vocabulary); `product` names it among the Ranges."""
        matrix = first_columns(self._graph.root, self._matrix(name), self._weights[name].shape[1], dim)
        if self._shortlist:
            matrix = self._graph.root.node("Gather", [matrix, self._shortlist], axis=0)
            matrix = self._graph.root.node("Transpose", [matrix], perm=[1, 0])
            return self._graph.node("MatMul", [x, matrix])
        return self._graph.node("Gemm", [x, matrix], transB=1)

    def use_shortlist(self, tokens: str) -> None:
        """From now on `logits` are those of `tokens` (shortlist,), a tensor of the outermost graph, alone."""
        self._shortlist = tokens

    def _matrix(self, name: str) -> str:
        return self._stored(name, self._weights[name])

    def _stored(self, name: str, weight: np.ndarray) -> str:
        return self._graph.weight(name, weight)


def first_columns(graph: GraphBuilder, matrix: str, columns: int, wanted: int) -> str:
    """`matrix` (rows, columns) without the columns behind the `wanted` first ones."""
    if wanted == columns:
        return matrix
    return graph.node("Slice", [matrix, graph.constant([0]), graph.constant([wanted]), graph.constant([1])])


def blocks_of(weights: Mapping[str, Any], name: str) -> list[tuple[np.ndarray, np.ndarray | None]]:
    """[(block, bias)] of the ColumnBlocks of a product."""
    weight, bias = weights[f"{name}.weight"], weights.get(f"{name}.bias")
    ends = np.cumsum([len(block) for block in weight.blocks])[:-1]
    biases = [None] * len(weight.blocks) if bias is None else np.split(bias, ends)
    return list(zip(weight.blocks, biases))


def some_columns(graph: GraphBuilder, x: str, weight: ColumnBlocks) -> list[str]:
    """For each of the blocks, the features of `x` (rows, features) that it multiplies: (features, rows).

    Transposed once, since onnxruntime gathers rows many times faster than columns.
    """
    turned = graph.node("Transpose", [x], perm=[1, 0])
    return [
        turned if len(columns) == weight.inputs else graph.node("Gather", [turned, graph.constant(columns)], axis=0)
        for columns in weight.columns
    ]


def joined(graph: GraphBuilder, parts: Sequence[str]) -> str:
    return parts[0] if len(parts) == 1 else graph.node("Concat", parts, axis=1)
