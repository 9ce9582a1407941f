"""Skeletons: a network's deployed graphs without their weights, small enough to be sent to any device."""

import base64
import functools
import math
import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np
from onnx import ModelProto, TensorProto, helper
from onnx.external_data_helper import set_external_data

from hat.architecture.complexity import Spec, parameter_shapes
from hat.architecture.stacks import Architecture
from hat.deploy.building.bundle_writer import ALIGNMENT, SMALLEST_EXTERNAL
from hat.experiment.sections import LatencyConfig
from hat.tasks.task import Task

WEIGHT_KINDS = "fiu"  # numpy's kinds of what may be made up
NOT_MADE_UP = ("int64",)  # sizes, axes and places: their values matter


def make_skeleton(
    task: Task, architecture: Architecture, spec: Spec, precision: str, latency_config: LatencyConfig
) -> dict[str, Any]:
    """What the device measures for an Architecture of a Task: {"graphs": {name: text}, "weights": {file: bytes}}.

    See on_device.bench for the form. Constants that a bundle keeps beside its graphs are named by their
    place in one file for each type of number; a weight that two graphs share has one place.
    """
    return packed(task.measured_graphs(architecture, spec, _any_weights(architecture, spec), precision, latency_config))


def packed(graphs: Mapping[str, ModelProto]) -> dict[str, Any]:
    """The same for graphs, whose larger constants are taken out of them."""
    places: dict[tuple[str, str, int], int] = {}
    sizes: dict[str, int] = {}
    for graph in graphs.values():
        for tensor in graph.graph.initializer:
            _move_out(tensor, places, sizes)
    texts = {
        name: base64.b64encode(zlib.compress(graph.SerializeToString())).decode() for name, graph in graphs.items()
    }
    return {"graphs": texts, "weights": sizes}


def _move_out(tensor: TensorProto, places: dict[tuple[str, str, int], int], sizes: dict[str, int]) -> None:
    size = len(tensor.raw_data)
    dtype = helper.tensor_dtype_to_np_dtype(tensor.data_type)
    if size < SMALLEST_EXTERNAL or dtype.name in NOT_MADE_UP or dtype.kind not in WEIGHT_KINDS:
        return
    file = f"{dtype.name}.bin"
    key = file, tensor.name, size
    if key not in places:
        places[key] = math.ceil(sizes.get(file, 0) / ALIGNMENT) * ALIGNMENT
        sizes[file] = places[key] + size
    set_external_data(tensor, file, places[key], size)
    tensor.ClearField("raw_data")


def _any_weights(architecture: Architecture, spec: Spec) -> dict[str, np.ndarray]:
    """Weights of the right names and shapes; their values are only there to be quantised."""
    shapes = parameter_shapes(architecture, spec)
    numbers = _numbers(max(math.prod(shape) for shape in shapes.values()))
    return {name: numbers[: math.prod(shape)].reshape(shape) for name, shape in shapes.items()}


@functools.lru_cache(maxsize=1)
def _numbers(count: int) -> np.ndarray:
    return np.random.default_rng(1).uniform(-0.05, 0.05, count).astype(np.float32)
