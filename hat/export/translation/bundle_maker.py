"""What translation's bundles are made of, and how they are judged."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hat.architecture.stacks import Architecture
from hat.compression.pruned import block_costs_of
from hat.config import to_mapping
from hat.data.translation.lexicon import coverage, learn_shortlist
from hat.data.translation.pairs import sample_pairs
from hat.data.translation.prepared import PreparedData
from hat.deploy.building.block_costs import DeviceCosts
from hat.deploy.building.bundle_writer import write_bundle
from hat.deploy.building.graphs import build_graphs
from hat.deploy.building.positions import MAX_POSITIONS
from hat.deploy.shortlist import Shortlist
from hat.experiment.run_directory import RunDirectory
from hat.export.bundles import built_from
from hat.export.refusal import refusal
from hat.export.translation.calibration import calibrate
from hat.export.translation.check import Reference, one_torch_thread
from hat.export.translation.quality import describe, measure_quality, with_drops
from hat.models.checkpoint import load_model
from hat.models.translation_spec import ModelSpec

if TYPE_CHECKING:
    import numpy as np


SHORTLIST_PAIRS = 200_000  # of the training set, at most
CALIBRATION_PAIRS = 200  # of these
COVERAGE_PAIRS = 2000  # of the validation set, at most


@dataclass(frozen=True)
class BundleMaker:
    """Makes and judges the bundles of one sub-training.

    `weights` are (Architecture, ModelSpec, arrays), `ranges` the calibrated ones of int8 products, `coverage` says how
    much of the validation set the shortlist covers, `seed` draws the sentences that judge quality, `costs` say what is
    multiplied by blocks.
    """

    weights: "tuple[Architecture, Any, dict[str, np.ndarray]]"
    ranges: dict
    shortlist: Shortlist
    coverage: dict
    prepared: PreparedData
    description: dict
    reference: Reference
    seed: int
    costs: DeviceCosts

    @classmethod
    def of(
        cls,
        run: RunDirectory,
        name: str,
        weights: "tuple[Architecture, Any, dict[str, np.ndarray]]",
        inputs: Mapping[str, Any],
    ) -> "BundleMaker":
        """The BundleMaker of the sub-training `name`: calibration and shortlist are learnt here."""
        model, prepared, seed = load_model(run.sub(name)), run.prepared(), run.config.seed
        pairs = training_pairs(run, prepared)
        with one_torch_thread():
            ranges = calibrate(model, pairs[:CALIBRATION_PAIRS])
        shortlist = learn_shortlist(prepared, pairs)
        covered = coverage(shortlist, sample_pairs(prepared, "valid", COVERAGE_PAIRS, seed))
        description = describe_bundle(run, name, *weights[:2], prepared, inputs)
        costs = block_costs_of(run.sub(name))
        reference = Reference(model, prepared, run.config.evaluation, seed)
        return cls(weights, ranges, shortlist, covered, prepared, description, reference, seed, costs)

    def write(self, precision: str, bundle: Path) -> None:
        """Write the bundle of this precision into the new folder `bundle`."""
        graphs = build_graphs(*self.weights, precision, self.ranges, costs=self.costs)
        description = {"precision": precision, **self.description}
        write_bundle(bundle, graphs, tokenizers(self.prepared), description, self.shortlist)

    def judge(self, bundles: Mapping[str, Path]) -> dict[str, Any]:
        """{precision: {"check", "quality", "shortlist"}} of {precision: folder}, of which fp32 is one.

        Raises ArtifactError unless fp32 does what PyTorch does.
        """
        checks = {
            precision: self.reference.judge(bundle, exact=precision == "fp32") for precision, bundle in bundles.items()
        }
        quality = {
            precision: measure_quality(bundle, self.prepared, self.seed) for precision, bundle in bundles.items()
        }
        return {
            precision: {
                "check": checks[precision],
                "quality": with_drops(quality[precision], quality["fp32"]),
                "shortlist": self.coverage,
            }
            for precision in bundles
        }

    def describe_check(self, result: dict[str, Any]) -> str:
        """Part of a line for the user."""
        return self.reference.describe(result["check"])

    def describe_quality(self, result: dict[str, Any]) -> str:
        """One line for the user."""
        return describe(result["quality"])

    def refusal(self, precision: str, result: dict[str, Any], allowed_drop: float) -> str | None:
        """Why a bundle must not be installed, for the user; None if it may be."""
        drop = result["quality"]["bleu_drop"]
        return refusal(precision, f"loses {drop:.2f} BLEU against fp32", drop, allowed_drop, "--allow-bleu-drop")


def training_pairs(run: RunDirectory, prepared: PreparedData) -> list[tuple[list[int], list[int]]]:
    """The pairs of ids that the shortlist is learnt from; the first of them calibrate int8."""
    return sample_pairs(prepared, "train", SHORTLIST_PAIRS, run.config.seed)


def describe_bundle(
    run: RunDirectory,
    name: str,
    architecture: Architecture,
    spec: ModelSpec,
    prepared: PreparedData,
    inputs: Mapping[str, Any],
) -> dict[str, Any]:
    """What bundle.json says of all bundles of the sub-training `name`."""
    return {
        "architecture": architecture.to_dict(),
        "spec": to_mapping(spec),
        "source_lang": prepared.source_lang,
        "target_lang": prepared.target_lang,
        # </s> included; the model was never trained on longer ones
        "max_source_tokens": min(run.config.data.max_length + 1, MAX_POSITIONS),
        "search": to_mapping(run.config.evaluation),
        "built_from": built_from(run, name, inputs),
    }


def tokenizers(prepared: PreparedData) -> dict[str, Path]:
    """{"source", "target": path of the SentencePiece model} of prepared data."""
    languages = {"source": prepared.source_lang, "target": prepared.target_lang}
    return {side: prepared.sentencepiece(lang) for side, lang in languages.items()}
