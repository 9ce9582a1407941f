"""The size of a bundle, from the architecture alone: what hat-export would write, its graphs being built to know it."""

import functools
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from onnx import ModelProto

from hat.architecture.complexity import Spec, parameter_shapes
from hat.architecture.stacks import Architecture
from hat.deploy.building.bundle_writer import ALIGNMENT

DESCRIPTION_BYTES = 6000  # of bundle.json, at most
Build = Callable[[Architecture, Any, Mapping[str, np.ndarray], str], dict[str, ModelProto]]


class GraphsSize:
    """Architecture -> bytes of the bundle in this precision, `text_file` in it.

    `build` gives the graphs of an Architecture, a spec, weights and a precision.
    """

    def __init__(self, build: Build, spec: Spec, precision: str, text_file: Path) -> None:
        self._spec, self._precision = spec, precision
        self._others_bytes = text_file.stat().st_size + DESCRIPTION_BYTES
        self._graph_bytes = functools.lru_cache(maxsize=None)(functools.partial(self._built_bytes, build))

    def __call__(self, architecture: Architecture) -> int:
        return self._graph_bytes(architecture) + self._others_bytes

    def _built_bytes(self, build: Build, architecture: Architecture) -> int:
        shapes = parameter_shapes(architecture, self._spec)
        weights = {name: np.zeros(shape, np.float32) for name, shape in shapes.items()}
        graphs = build(architecture, self._spec, weights, self._precision).values()
        return sum(graph.ByteSize() + ALIGNMENT * len(graph.graph.initializer) for graph in graphs)
