"""Bundles to be timed before there is anything to export: translating as exported ones do, but nothing was checked."""

from pathlib import Path
from typing import TYPE_CHECKING

from hat.data.translation.pairs import sample_pairs
from hat.data.translation.prepared import PreparedData
from hat.deploy.building.block_costs import UNMEASURED, DeviceCosts
from hat.deploy.building.bundle_writer import write_bundle
from hat.deploy.building.graphs import build_graphs
from hat.experiment.run_directory import RunDirectory
from hat.export.translation.bundle_maker import CALIBRATION_PAIRS, describe_bundle, tokenizers

if TYPE_CHECKING:
    from hat.models.translation import Transformer


NAME = "trial"


def write_trial_bundle(
    run: RunDirectory, model: "Transformer", precision: str, folder: Path, costs: DeviceCosts = UNMEASURED
) -> None:
    """Write a bundle of a standalone `hat.models.translation.Transformer` into the new `folder`."""
    prepared = PreparedData(run.data)
    weights = {name: tensor.detach().float().numpy() for name, tensor in model.state_dict().items()}
    description = describe_bundle(run, NAME, model.architecture, model.spec, prepared, {"weights_sha256": NAME})
    ranges = _ranges(run, model, precision, prepared)
    graphs = build_graphs(model.architecture, model.spec, weights, precision, ranges, costs=costs)
    write_bundle(folder, graphs, tokenizers(prepared), {"precision": precision, **description})


def _ranges(
    run: RunDirectory, model: "Transformer", precision: str, prepared: PreparedData
) -> dict[str, tuple[float, float]]:
    if precision != "int8":
        return {}
    from hat.export.translation.calibration import calibrate

    return calibrate(model, sample_pairs(prepared, "train", CALIBRATION_PAIRS, run.config.seed))
