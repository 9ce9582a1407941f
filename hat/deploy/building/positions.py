"""Sinusoidal positions inside a graph: the table is computed when the session is made, so no file holds it."""

import math

import numpy as np
from onnx import TensorProto

from hat.deploy.building.graph_builder import GraphBuilder

MAX_POSITIONS = 2048  # longest source or target that a graph can place


def position_table(graph: GraphBuilder, full_dim: int, dim: int, padding: int) -> str:
    """Table (MAX_POSITIONS, dim) whose first row belongs to the first token of a sentence.

    The width is `full_dim` (sines, then cosines; fairseq's layout), of which the first `dim` columns are kept.
    Only constants enter, so onnxruntime folds all of it into one constant.
    """
    half = full_dim // 2
    exponents = np.arange(half, dtype=np.float32) * np.float32(-math.log(10000) / (half - 1))
    frequencies = graph.weight("position.frequencies", np.exp(exponents)[None, :])
    first = padding + 1
    index = graph.node("Range", [graph.constant(v) for v in (first, first + MAX_POSITIONS, 1)])
    index = graph.node("Unsqueeze", [graph.node("Cast", [index], to=TensorProto.FLOAT), graph.constant([1])])
    angles = graph.node("Mul", [index, frequencies])
    parts = [graph.node("Sin", [angles]), graph.node("Cos", [angles])]
    if full_dim % 2:
        parts.append(graph.node("Mul", [index, graph.constant([[0.0]], np.float32)]))
    table = graph.node("Concat", parts, axis=1)
    if dim == full_dim:
        return table
    return graph.node("Slice", [table, graph.constant([0]), graph.constant([dim]), graph.constant([1])])
