"""Matrix products and embedding look-ups of a graph, in float32 or with int8 weights.

Both classes offer the same three methods; `x` is always (rows, features). A matrix that serves as embedding and
as output product is stored once.
"""

import numpy as np
from onnx import TensorProto

from hat.deploy.quantisation import quantise_rows


class Float32Products:
    """Weights as they were trained, (outputs, inputs)."""

    def __init__(self, graph, weights):
        self._graph, self._weights = graph, weights

    def linear(self, x, name):
        """x (rows, inputs) @ weight.T + bias -> (rows, outputs)"""
        weight = self._graph.weight(f"{name}.weight", self._weights[f"{name}.weight"])
        bias = self._graph.weight(f"{name}.bias", self._weights[f"{name}.bias"])
        return self._graph.node("Gemm", [x, weight, bias], transB=1)

    def embed(self, tokens, name, dim):
        """tokens (rows,) -> the first `dim` features of their rows, times sqrt(dim): (rows, dim)"""
        rows = self._graph.node("Gather", [self._matrix(name), tokens], axis=0)
        rows = _first_columns(self._graph, rows, self._weights[name].shape[1], dim)
        return self._graph.node("Mul", [rows, self._graph.constant(dim**0.5, np.float32)])

    def logits(self, x, name, dim):
        """x (rows, dim) @ matrix[:, :dim].T -> (rows, vocabulary)"""
        matrix = _first_columns(self._graph, self._matrix(name), self._weights[name].shape[1], dim)
        return self._graph.node("Gemm", [x, matrix], transB=1)

    def _matrix(self, name):
        return self._graph.weight(name, self._weights[name])


class Int8Products:
    """int8 weights, one scale per output channel; inputs are quantised to uint8 as they come (per tensor)."""

    def __init__(self, graph, weights):
        self._graph, self._weights = graph, weights

    def linear(self, x, name):
        """x (rows, inputs) @ weight.T + bias -> (rows, outputs)"""
        quantised, scales = quantise_rows(self._weights[f"{name}.weight"])
        weight = self._graph.weight(f"{name}.weight.int8", quantised.T)
        scale = self._graph.weight(f"{name}.weight.scale", scales)
        bias = self._graph.weight(f"{name}.bias", self._weights[f"{name}.bias"])
        return self._graph.contrib("DynamicQuantizeMatMul", [x, weight, scale, "", bias])

    def embed(self, tokens, name, dim):
        """tokens (rows,) -> the first `dim` features of their rows, times sqrt(dim): (rows, dim)"""
        matrix, scale = self._matrix(name)
        rows = self._graph.node("Gather", [matrix, tokens], axis=0)
        rows = _first_columns(self._graph, rows, self._weights[name].shape[1], dim)
        scales = self._graph.node("Gather", [scale, tokens], axis=0)
        scales = self._graph.node("Mul", [scales, self._graph.constant(dim**0.5, np.float32)])
        scales = self._graph.node("Unsqueeze", [scales, self._graph.constant([1])])
        return self._graph.node("Mul", [self._graph.node("Cast", [rows], to=TensorProto.FLOAT), scales])

    def logits(self, x, name, dim):
        """x (rows, dim) @ matrix[:, :dim].T -> (rows, vocabulary)

        The transposition of the stored (vocabulary, dim) is done once, when the session is made.
        """
        matrix, scale = self._matrix(name)
        matrix = _first_columns(self._graph, matrix, self._weights[name].shape[1], dim)
        matrix = self._graph.node("Transpose", [matrix], perm=[1, 0])
        return self._graph.contrib("DynamicQuantizeMatMul", [x, matrix, scale])

    def _matrix(self, name):
        quantised, scales = quantise_rows(self._weights[name])
        return self._graph.weight(f"{name}.int8", quantised), self._graph.weight(f"{name}.scale", scales)


PRODUCTS = {"fp32": Float32Products, "int8": Int8Products}


def _first_columns(graph, matrix, columns, wanted):
    if wanted == columns:
        return matrix
    return graph.node("Slice", [matrix, graph.constant([0]), graph.constant([wanted]), graph.constant([1])])
