"""Products whose weights are stored in fewer bits and become float32 when the session is made.

4-bit matrices are unpacked by a function of the graph file, which onnxruntime writes out for each, and computes once.
"""

import functools
from collections.abc import Mapping, Sequence
from typing import Any

import ml_dtypes
import numpy as np
import onnx.parser
from onnx import FunctionProto, TensorProto

from hat.deploy.building.float32_products import Float32Products, Ranges, first_columns
from hat.deploy.building.graph_builder import OPSET, OURS, GraphBuilder
from hat.deploy.building.quantisation import BLOCK, MIDDLE, codebook_of, nearest_codes, quantise_blocks


class _NarrowProducts(Float32Products):
    """Each weight is stored, and widened by the outermost graph, once."""

    def __init__(self, graph: GraphBuilder, weights: Mapping[str, Any], ranges: Ranges | None = None) -> None:
        super().__init__(graph, weights)
        self._widened: dict[str, str] = {}

    def _stored(self, name: str, weight: np.ndarray) -> str:
        if name not in self._widened:
            self._widened[name] = self._widen(name, weight)
        return self._widened[name]

    def _widen(self, name: str, weight: np.ndarray) -> str:
        """Store `weight` under that name; returns it as float32."""
        raise NotImplementedError


class Float16Products(_NarrowProducts):
    """Weights rounded to 16 bits.

    A weight beyond what 16 bits can express becomes the largest that they can.
    """

    dtype = np.dtype(np.float16)

    def _widen(self, name: str, weight: np.ndarray) -> str:
        largest = float(ml_dtypes.finfo(self.dtype).max)
        rounded = np.clip(weight, -largest, largest).astype(self.dtype)
        stored = self._graph.weight(f"{name}.{self.dtype}", rounded)
        return self._graph.root.node("Cast", [stored], to=TensorProto.FLOAT)


class BFloat16Products(Float16Products):
    """The same with bfloat16."""

    dtype = np.dtype(ml_dtypes.bfloat16)


class _FourBitProducts(_NarrowProducts):
    """Matrices of 4-bit codes, two a byte; vectors stay float32."""

    def _widen(self, name: str, weight: np.ndarray) -> str:
        return self._graph.weight(name, weight) if weight.ndim == 1 else self._widen_matrix(name, weight)

    def _widen_matrix(self, name: str, weight: np.ndarray) -> str:
        raise NotImplementedError

    def _packed(self, name: str, codes: np.ndarray) -> str:
        """Store uint8 `codes` below 16 (rows, an even number), the first of two neighbours in the lower bits."""
        return self._graph.weight(name, codes[:, 0::2] | codes[:, 1::2] << 4)


class Int4Products(_FourBitProducts):
    """Codes are numbers, with a 16-bit scale for each block of a row."""

    def _widen_matrix(self, name: str, weight: np.ndarray) -> str:
        codes, scales = quantise_blocks(weight)
        rows, blocks, size = codes.shape
        root = self._graph.root
        packed = self._packed(f"{name}.int4", codes.reshape(rows * blocks, size))
        widened = root.call(_from_blocks(), [packed, self._graph.weight(f"{name}.scale", scales)])
        return first_columns(root, widened, blocks * size, weight.shape[1])


class KMeans4Products(_FourBitProducts):
    """Codes are places in a codebook of 16-bit values that each matrix has."""

    def _widen_matrix(self, name: str, weight: np.ndarray) -> str:
        codebook = codebook_of(weight)
        columns = weight.shape[1]
        codes = np.pad(nearest_codes(weight, codebook), ((0, 0), (0, columns % 2)))
        root = self._graph.root
        packed = self._packed(f"{name}.codes", codes)
        widened = root.call(_from_codebook(), [packed, self._graph.weight(f"{name}.codebook", codebook)])
        return first_columns(root, widened, codes.shape[1], columns)


@functools.cache
def _from_blocks() -> FunctionProto:
    """codes (rows * blocks, BLOCK / 2), two in a byte; scales (rows, blocks) float16 -> (rows, blocks * BLOCK)"""
    return _function(
        "FromBlocks",
        ["codes", "scales"],
        f"""
        {UNPACK}
        blocks = Shape (scales)
        size = Constant <value_ints = [{BLOCK}]> ()
        shape = Concat <axis = 0> (blocks, size)
        split = Reshape (pairs, shape)
        numbers = Cast <to = 1> (split)
        middle = Constant <value_float = {MIDDLE:.1f}> ()
        centred = Sub (numbers, middle)
        wide = Cast <to = 1> (scales)
        factors = Unsqueeze (wide, two)
        scaled = Mul (centred, factors)
        widened = Reshape (scaled, flat)
        """,
    )


@functools.cache
def _from_codebook() -> FunctionProto:
    """codes (rows, columns / 2), two in a byte; codebook (16,) float16 -> (rows, columns) float32"""
    return _function(
        "FromCodebook",
        ["codes", "codebook"],
        f"""
        {UNPACK}
        unpacked = Reshape (pairs, flat)
        places = Cast <to = 6> (unpacked)
        values = Cast <to = 1> (codebook)
        widened = Gather <axis = 0> (values, places)
        """,
    )


# codes (rows, columns / 2) -> pairs (rows, columns / 2, 2): the lower four bits, the upper ones
UNPACK = """
        fifteen = Constant <value = uint8 {15}> ()
        four = Constant <value = uint8 {4}> ()
        two = Constant <value_ints = [2]> ()
        flat = Constant <value_ints = [0, -1]> ()
        low = BitwiseAnd (codes, fifteen)
        high = BitShift <direction = "RIGHT"> (codes, four)
        first = Unsqueeze (low, two)
        second = Unsqueeze (high, two)
        pairs = Concat <axis = 2> (first, second)"""


def _function(name: str, inputs: Sequence[str], body: str) -> FunctionProto:
    """The function of that name with the output `widened`; `body` is in ONNX's text syntax."""
    head = f'<opset_import: ["" : {OPSET}], domain: "{OURS}">'
    return onnx.parser.parse_function(f"{head} {name} ({', '.join(inputs)}) => (widened) {{ {body} }}")
