"""Products whose weights are stored in fewer bits and become float32 when the session is made."""

from collections.abc import Mapping
from typing import Any

import ml_dtypes
import numpy as np
from onnx import TensorProto

from hat.deploy.building.float32_products import Float32Products, Ranges, first_columns
from hat.deploy.building.graph_builder import GraphBuilder
from hat.deploy.building.quantisation import MIDDLE, codebook_of, nearest_codes, quantise_blocks


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

    def _unpacked(self, name: str, codes: np.ndarray) -> str:
        """Store uint8 `codes` below 16 (rows, an even number); returns them in that shape, as uint8."""
        root = self._graph.root
        stored = self._graph.weight(name, codes[:, 0::2] | codes[:, 1::2] << 4)
        lower = root.node("BitwiseAnd", [stored, root.constant(15, np.uint8)])
        upper = root.node("BitShift", [stored, root.constant(4, np.uint8)], direction="RIGHT")
        pairs = [root.node("Unsqueeze", [half, root.constant([2])]) for half in (lower, upper)]
        return root.reshape(root.node("Concat", pairs, axis=2), list(codes.shape))

    def _float32(self, name: str, values: np.ndarray) -> str:
        """Store float16 `values`; returns them as float32."""
        return self._graph.root.node("Cast", [self._graph.weight(name, values)], to=TensorProto.FLOAT)


class Int4Products(_FourBitProducts):
    """Codes are numbers, with a 16-bit scale for each block of a row."""

    def _widen_matrix(self, name: str, weight: np.ndarray) -> str:
        codes, scales = quantise_blocks(weight)
        rows, blocks, size = codes.shape
        root = self._graph.root
        numbers = self._unpacked(f"{name}.int4", codes.reshape(rows * blocks, size))
        numbers = root.reshape(root.node("Cast", [numbers], to=TensorProto.FLOAT), [rows, blocks, size])
        numbers = root.node("Sub", [numbers, root.constant(MIDDLE, np.float32)])
        scale = root.node("Unsqueeze", [self._float32(f"{name}.scale", scales), root.constant([2])])
        widened = root.reshape(root.node("Mul", [numbers, scale]), [rows, blocks * size])
        return first_columns(root, widened, blocks * size, weight.shape[1])


class KMeans4Products(_FourBitProducts):
    """Codes are places in a codebook of 16-bit values that each matrix has."""

    def _widen_matrix(self, name: str, weight: np.ndarray) -> str:
        codebook = codebook_of(weight)
        columns = weight.shape[1]
        codes = np.pad(nearest_codes(weight, codebook), ((0, 0), (0, columns % 2)))
        root = self._graph.root
        places = root.node("Cast", [self._unpacked(f"{name}.codes", codes)], to=TensorProto.INT32)
        widened = root.node("Gather", [self._float32(f"{name}.codebook", codebook), places], axis=0)
        return first_columns(root, widened, codes.shape[1], columns)
