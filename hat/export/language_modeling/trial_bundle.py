"""Bundles of language models to be timed before there is anything to export: nothing of them is checked."""

from pathlib import Path
from typing import TYPE_CHECKING

from hat.deploy.building.bundle_writer import write_bundle
from hat.deploy.building.language_model_graph import build_language_model_graphs
from hat.experiment.run_directory import RunDirectory
from hat.export.language_modeling.bundle_maker import describe_language_model

if TYPE_CHECKING:
    from hat.models.language_model import LanguageModel


NAME = "trial"


def write_trial_bundle(run: RunDirectory, model: "LanguageModel", precision: str, folder: Path) -> None:
    """Write a bundle of a standalone `hat.models.language_model.LanguageModel` into the new `folder`."""
    weights = {name: tensor.detach().float().numpy() for name, tensor in model.state_dict().items()}
    graphs = build_language_model_graphs(model.architecture, model.spec, weights, precision)
    description = describe_language_model(run, NAME, model, {"weights_sha256": NAME})
    write_bundle(folder, graphs, {"words": run.prepared().words_file}, {"precision": precision, **description})
