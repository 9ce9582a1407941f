"""Products whose weights are stored in fewer bits and become float32 when the session is made."""

from collections.abc import Mapping
from typing import Any

import ml_dtypes
import numpy as np
from onnx import TensorProto

from hat.deploy.building.float32_products import Float32Products, Ranges, first_columns
from hat.deploy.building.graph_builder import GraphBuilder
from hat.deploy.building.quantisation import MIDDLE, quantise_blocks


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


class Int4Products(_NarrowProducts):
    """Matrices of 4-bit numbers, two a byte, with a 16-bit scale for each block of a row; vectors stay float32."""

    def _widen(self, name: str, weight: np.ndarray) -> str:
        if weight.ndim == 1:
            return self._graph.weight(name, weight)
        codes, scales = quantise_blocks(weight)
        packed = codes[..., 0::2] | codes[..., 1::2] << 4
        root = self._graph.root
        stored = self._graph.weight(f"{name}.int4", packed)
        scale = self._graph.weight(f"{name}.scale", scales)
        lower = root.node("BitwiseAnd", [stored, root.constant(15, np.uint8)])
        upper = root.node("BitShift", [stored, root.constant(4, np.uint8)], direction="RIGHT")
        last = root.constant([3])
        pairs = [root.node("Unsqueeze", [half, last]) for half in (lower, upper)]
        rows, blocks, size = codes.shape
        numbers = root.reshape(root.node("Concat", pairs, axis=3), [rows, blocks, size])
        numbers = root.node(
            "Sub", [root.node("Cast", [numbers], to=TensorProto.FLOAT), root.constant(MIDDLE, np.float32)]
        )
        scale = root.node("Unsqueeze", [root.node("Cast", [scale], to=TensorProto.FLOAT), root.constant([2])])
        widened = root.reshape(root.node("Mul", [numbers, scale]), [rows, blocks * size])
        return first_columns(root, widened, blocks * size, weight.shape[1])
