"""Bundles of classifiers."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from hat.architecture.stacks import Architecture
from hat.config import to_mapping
from hat.deploy.building.block_costs import UNMEASURED, DeviceCosts
from hat.deploy.building.bundle_writer import write_bundle
from hat.deploy.building.classifier_graph import build_classifier_graphs
from hat.deploy.building.positions import MAX_POSITIONS
from hat.models.classifier_spec import ClassifierSpec

if TYPE_CHECKING:
    import numpy as np

    from hat.deploy.building.products import Ranges


TASK = "classification"


def describe_classifier(
    architecture: Architecture, spec: ClassifierSpec, max_tokens: int, built_from: dict[str, Any]
) -> dict[str, Any]:
    """What bundle.json says of a classifier's bundles of all precisions.

    `max_tokens` is the longest text that it was trained on; it is never more than the graph has positions for.
    """
    positions = spec.max_positions if spec.positions == "learned" else MAX_POSITIONS
    return {
        "task": TASK,
        "architecture": architecture.to_dict(),
        "spec": to_mapping(spec),
        "labels": list(spec.labels),
        "max_tokens": min(max_tokens, positions),
        "built_from": built_from,
    }


def write_classifier_bundle(
    directory: Path,
    model: "tuple[Architecture, ClassifierSpec, dict[str, np.ndarray]]",
    precision: str,
    ranges: "Ranges",
    text_encoder_file: Path,
    description: dict[str, Any],
    costs: DeviceCosts = UNMEASURED,
) -> None:
    """Write a bundle into the empty or new folder `directory`.

    model: (Architecture, ClassifierSpec, weights {name: float32 array}); ranges: of `calibrate_classifier`, for int8;
    text_encoder_file: a tokenizer.json or SentencePiece model; description: of `describe_classifier`; costs: which say
    what is multiplied by blocks.
    """
    graphs = build_classifier_graphs(*model, precision, ranges, costs=costs)
    write_bundle(directory, graphs, {"text": text_encoder_file}, {"precision": precision, **description})
