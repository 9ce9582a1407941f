"""The size of a classifier's bundle, from the architecture alone: what hat-export would write."""

import functools

import numpy as np

from hat.architecture.complexity import parameter_shapes
from hat.architecture.stacks import Architecture
from hat.deploy.building.bundle_writer import ALIGNMENT, tokenizer_content, tokenizer_names
from hat.deploy.building.classifier_graph import build_classifier_graphs
from hat.experiment.run_directory import RunDirectory

DESCRIPTION_BYTES = 6000  # of bundle.json, at most


class ClassifierBundleSize:
    """Architecture -> bytes of the bundle in this precision; raises ArtifactError where the data aren't prepared."""

    def __init__(self, run: RunDirectory, precision: str) -> None:
        self._spec, self._precision = run.spec(), precision
        path = run.prepared().text_encoder_file
        (name,) = tokenizer_names({"text": path}).values()
        self._others_bytes = len(tokenizer_content(path, name)) + DESCRIPTION_BYTES
        self._graph_bytes = functools.lru_cache(maxsize=None)(self._build)

    def __call__(self, architecture: Architecture) -> int:
        return self._graph_bytes(architecture) + self._others_bytes

    def _build(self, architecture: Architecture) -> int:
        shapes = parameter_shapes(architecture, self._spec)
        weights = {name: np.zeros(shape, np.float32) for name, shape in shapes.items()}
        graphs = build_classifier_graphs(architecture, self._spec, weights, self._precision).values()
        return sum(graph.ByteSize() + ALIGNMENT * len(graph.graph.initializer) for graph in graphs)
