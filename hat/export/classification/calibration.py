"""Calibration of a classifier's static int8: its fp32 graph shows the inputs of its products."""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from hat.architecture.stacks import Architecture
from hat.config import to_mapping
from hat.deploy.building.classifier_graph import CLASSIFIER, build_classifier_graphs
from hat.deploy.classifier import graph_inputs
from hat.deploy.sessions import make_session
from hat.export.ranges import best_ranges
from hat.export.shown_products import INPUT, ShownProducts
from hat.models.classifier_spec import ClassifierSpec

if TYPE_CHECKING:
    import numpy as np


def calibrate_classifier(
    architecture: Architecture,
    spec: ClassifierSpec,
    weights: "Mapping[str, np.ndarray]",
    sequences: Sequence[Sequence[int]],
) -> dict[str, tuple[float, float]]:
    """{product name: (low, high)} for `build_classifier_graphs`, of a classifier.

    It is run on each of `sequences` (token ids) by itself. Raises as `best_ranges` does.
    """
    graph = build_classifier_graphs(architecture, spec, weights, products={"fp32": ShownProducts})[CLASSIFIER]
    session = make_session(graph.SerializeToString(), 1)
    names = [output.name for output in session.get_outputs() if output.name.startswith(INPUT)]

    def observe(sequences: Sequence[Sequence[int]], observer: "Callable[[str, np.ndarray], None]") -> None:
        for ids in sequences:
            for name, values in zip(names, session.run(names, graph_inputs([ids], to_mapping(spec))), strict=True):
                observer(name.removeprefix(INPUT), values)

    return best_ranges(sequences, observe)
