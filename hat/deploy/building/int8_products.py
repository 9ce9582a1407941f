"""The same products with int8 weights, and inputs that become uint8."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from onnx import TensorProto

from hat.deploy.building.column_blocks import ColumnBlocks
from hat.deploy.building.float32_products import (
    OUTPUT_PRODUCT,
    Ranges,
    blocks_of,
    first_columns,
    joined,
    some_columns,
)
from hat.deploy.building.graph_builder import GraphBuilder
from hat.deploy.building.quantisation import DEFAULT_RANGE, activation_parameters, quantise_linear, quantise_rows

INT8_INPUTS = 4  # MatMulNBits's name for computing in int8


class Int8Products:
    """int8 weights, one scale per output channel; inputs become uint8 by calibrated `ranges` {name: (low, high)}.

    Weights are such that x86 processors without VNNI multiply them right in the fast way too, where two neighbouring
    products of uint8 and int8 are added up in 16 bits.

    The ranges are fixed, so what a sentence becomes doesn't depend on the others in its batch. Without `ranges` all
    inputs get DEFAULT_RANGE, which is good for timing only.
    """

    def __init__(self, graph: GraphBuilder, weights: Mapping[str, Any], ranges: Ranges | None = None) -> None:
        self._graph, self._weights, self._ranges = graph, weights, ranges
        self._shortlist: str | None = None

    def linear(self, x: str, name: str) -> str:
        """x (rows, inputs) @ weight.T, + bias where there is one -> (rows, outputs)"""
        x, weight = self._quantised_input(x, name), self._weights[f"{name}.weight"]
        if not isinstance(weight, ColumnBlocks):
            return self._multiply(x, name, name, *self._quantised(name))
        found = []
        inputs = some_columns(self._graph, x, weight)
        for number, (some, (block, bias)) in enumerate(zip(inputs, blocks_of(self._weights, name))):
            quantised = quantise_linear(block, np.float32(0) if bias is None else bias, self._input_scale(name))
            some = self._graph.node("Transpose", [some], perm=[1, 0])
            found.append(self._multiply(some, name, f"{name}.{number}", *quantised))
        return joined(self._graph, found)

    def relu_linear(self, x: str, name: str) -> str:
        """linear(relu(x)); a range that starts at zero makes the quantisation itself a ReLU."""
        low, _ = self._range(name)
        return self.linear(x if low == 0 else self._graph.node("Relu", [x]), name)

    def embed(self, tokens: str, name: str, dim: int) -> str:
        """tokens (rows,) -> the first `dim` features of their rows, times sqrt(dim): (rows, dim)"""
        graph, root = self._graph, self._graph.root
        matrix, scale = self._matrix(name)
        scales = root.node("Mul", [scale, root.constant(dim**0.5, np.float32)])
        scales = root.node("Unsqueeze", [scales, root.constant([1])])
        rows = graph.node("Gather", [matrix, tokens], axis=0)
        rows = first_columns(graph, rows, self._weights[name].shape[1], dim)
        rows = graph.node("Cast", [rows], to=TensorProto.FLOAT)
        return graph.node("Mul", [rows, graph.node("Gather", [scales, tokens], axis=0)])

    def look_up(self, tokens: str, name: str) -> str:
        """Rows of a matrix: tokens of any shape -> (*shape, features)"""
        matrix, scale = self._matrix(name)
        scales = self._graph.root.node("Unsqueeze", [scale, self._graph.constant([1])])
        rows = self._graph.node("Gather", [matrix, tokens], axis=0)
        rows = self._graph.node("Cast", [rows], to=TensorProto.FLOAT)
        return self._graph.node("Mul", [rows, self._graph.node("Gather", [scales, tokens], axis=0)])

    def logits(self, x: str, name: str, dim: int, product: str = OUTPUT_PRODUCT) -> str:
        """x (rows, dim) @ matrix[:, :dim].T -> (rows, vocabulary); `product` names it among the Ranges."""
        matrix, scale = self._matrix(name)
        rows, columns = self._weights[name].shape
        matrix = first_columns(self._graph.root, matrix, columns, dim)
        x, zero = self._quantised_input(x, product), self._zero(product, rows)
        if self._shortlist:
            parts = (matrix, scale, zero)
            matrix, scale, zero = (self._graph.root.node("Gather", [part, self._shortlist], axis=0) for part in parts)
            # transposed once a search; onnxruntime would do it at every step
            matrix = self._graph.root.node("Transpose", [matrix], perm=[1, 0])
            return self._product(x, product, matrix, scale, zero, transposed=0)
        return self._product(x, product, matrix, scale, zero)

    def use_shortlist(self, tokens: str) -> None:
        """From now on `logits` are those of `tokens` (shortlist,), a tensor of the outermost graph, alone."""
        self._shortlist = tokens

    def _product(
        self, x: str, name: str, weight: str, scale: str, zero: str, bias: Sequence[str] = (), transposed: int = 1
    ) -> str:
        """`x` is quantised as the input of the product `name`."""
        inputs = [x, *self._input_parameters(name), weight, scale, zero, *bias]
        return self._graph.contrib("QGemm", inputs, transB=transposed)

    def _multiply(
        self, x: str, name: str, stored: str, quantised: np.ndarray, scales: np.ndarray, bias: np.ndarray
    ) -> str:
        """`_product` of weights that are kept under the name `stored`."""
        weight = self._graph.weight(f"{stored}.weight.int8", quantised)
        scale = self._graph.weight(f"{stored}.weight.scale", scales)
        more = [self._graph.weight(f"{stored}.bias.int32", bias)] if f"{name}.bias" in self._weights else []
        return self._product(x, name, weight, scale, self._zero(stored, len(scales)), more)

    def _quantised_input(self, x: str, name: str) -> str:
        return self._graph.node("QuantizeLinear", [x, *self._input_parameters(name)])

    def _input_parameters(self, name: str) -> list[str]:
        step, offset = activation_parameters(*self._range(name))
        return [self._graph.constant(step, np.float32), self._graph.constant(offset, np.uint8)]

    def _zero(self, name: str, outputs: int) -> str:
        """The zero points of a product's weights, which has its own: on processors without VNNI onnxruntime changes
        weights and zero points one by one.
        """
        return self._graph.weight(f"{name}.weight.zero", np.zeros(outputs, np.int8))

    def _quantised(self, name: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """`quantise_linear` of a product."""
        weight, bias = self._weights[f"{name}.weight"], self._weights.get(f"{name}.bias", np.float32(0))
        return quantise_linear(weight, bias, self._input_scale(name))

    def _input_scale(self, name: str) -> np.float32:
        return activation_parameters(*self._range(name))[0]

    def _range(self, name: str) -> tuple[float, float]:
        return DEFAULT_RANGE if self._ranges is None else self._ranges[name]

    def _matrix(self, name: str) -> tuple[str, str]:
        quantised, scales = quantise_rows(self._weights[name])
        return self._graph.weight(f"{name}.int8", quantised), self._graph.weight(f"{name}.scale", scales)


class SingleRowProducts(Int8Products):
    """The same int8 weights for products of a single row, with inputs quantised by that row: half the time, for such.

    onnxruntime's MatMulNBits wants unsigned weights in blocks of each row; they are derived when the session is made.
    """

    def linear(self, x: str, name: str) -> str:
        """x (1, inputs) @ weight.T + bias -> (1, outputs)"""
        if isinstance(weight := self._weights[f"{name}.weight"], ColumnBlocks) or not _block_size(weight.shape[1]):
            return super().linear(x, name)
        quantised, scales, _ = self._quantised(name)
        weight = self._graph.weight(f"{name}.weight.int8", quantised)
        scale = self._graph.weight(f"{name}.weight.scale", scales)
        bias = self._graph.weight(f"{name}.bias", self._weights[f"{name}.bias"])
        return self._row_product(x, weight, scale, quantised.shape, ["", "", bias])

    def relu_linear(self, x: str, name: str) -> str:
        """linear(relu(x))"""
        return self.linear(self._graph.node("Relu", [x]), name)

    def logits(self, x: str, name: str, dim: int, product: str = OUTPUT_PRODUCT) -> str:
        """x (1, dim) @ matrix[:, :dim].T -> (1, vocabulary); `product` names it among the Ranges."""
        rows, columns = self._weights[name].shape
        if self._shortlist or not _block_size(dim):
            return super().logits(x, name, dim, product)
        matrix, scale = self._matrix(name)
        return self._row_product(x, first_columns(self._graph.root, matrix, columns, dim), scale, (rows, dim))

    def _row_product(self, x: str, weight: str, scale: str, shape: tuple[int, ...], more: Sequence[str] = ()) -> str:
        """x (1, inputs) @ weight.T by blocks; weight int8 of `shape` (outputs, inputs), scale (outputs,)"""
        root, (outputs, inputs) = self._graph.root, shape
        size = _block_size(inputs)
        blocks = inputs // size
        # int8 plus 128 is the same bits but the highest, read as uint8
        weight = root.node("BitwiseXor", [weight, root.constant(-128, np.int8)])
        weight = root.reshape(root.node("Cast", [weight], to=TensorProto.UINT8), [outputs, blocks, size])
        scale = root.node("Expand", [root.reshape(scale, [outputs, 1]), root.constant([outputs, blocks])])
        inputs_and_more = [x, weight, root.reshape(scale, [-1]), *more]
        return self._graph.contrib(
            "MatMulNBits", inputs_and_more, K=inputs, N=outputs, bits=8, block_size=size, accuracy_level=INT8_INPUTS
        )


def _block_size(inputs: int) -> int:
    """The largest block that MatMulNBits may cut rows of `inputs` values into; 0 if there is none."""
    return next((size for size in (256, 128, 64, 32, 16) if inputs % size == 0), 0)
