"""What a classifier's bundles are made of, and how they are judged."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hat.architecture.stacks import Architecture
from hat.compression.pruned import block_costs_of
from hat.data.drawing import draw_lines
from hat.deploy.batching import usable_cores
from hat.deploy.building.block_costs import UNMEASURED, DeviceCosts
from hat.evaluation.classification.scores import score_labels
from hat.experiment.run_directory import RunDirectory
from hat.export.bundles import built_from
from hat.export.classification.bundle import describe_classifier, write_classifier_bundle
from hat.export.classification.calibration import calibrate_classifier
from hat.export.classification.check import ClassifierReference
from hat.export.refusal import refusal
from hat.models.checkpoint import load_model
from hat.models.classifier_spec import ClassifierSpec

if TYPE_CHECKING:
    import numpy as np

    from hat.data.classification.prepared import ClassificationData
    from hat.models.classification import Classifier


CALIBRATION_TEXTS = 200  # of the training set
CHECKED_TEXTS = 200  # of the validation set
JUDGED_TEXTS = 2000  # of the validation set, at most


@dataclass(frozen=True)
class ClassifierBundleMaker:
    """Makes and judges the bundles of one sub-training.

    `weights` are (Architecture, ClassifierSpec, arrays), `ranges` the calibrated ones of int8 products; quality is
    judged by the accuracy on `texts` with these `labels`. By `costs` graphs choose what is multiplied by blocks.
    """

    weights: "tuple[Architecture, Any, dict[str, np.ndarray]]"
    ranges: dict
    text_encoder_file: Path
    description: dict
    reference: ClassifierReference
    texts: list
    labels: list
    costs: DeviceCosts

    @classmethod
    def of(
        cls,
        run: RunDirectory,
        name: str,
        weights: "tuple[Architecture, Any, dict[str, np.ndarray]]",
        inputs: Mapping[str, Any],
    ) -> "ClassifierBundleMaker":
        """The ClassifierBundleMaker of the sub-training `name`, calibrated here."""
        prepared, model = run.prepared(), load_model(run.sub(name))
        texts, labels = drawn_texts(run, prepared, "valid", JUDGED_TEXTS)
        return cls(
            weights,
            calibrate_classifier(*weights, drawn_ids(run, prepared, "train", CALIBRATION_TEXTS)),
            prepared.text_encoder_file,
            describe_run_classifier(run, name, *weights[:2], inputs),
            ClassifierReference(model, drawn_ids(run, prepared, "valid", CHECKED_TEXTS)),
            texts,
            labels,
            block_costs_of(run.sub(name)),
        )

    def write(self, precision: str, bundle: Path) -> None:
        """Write the bundle of this precision into the new folder `bundle`."""
        write_classifier_bundle(
            bundle, self.weights, precision, self.ranges, self.text_encoder_file, self.description, self.costs
        )

    def judge(self, bundles: Mapping[str, Path]) -> dict[str, Any]:
        """{precision: {"check", "quality"}} of {precision: folder}, of which fp32 is one.

        Raises ArtifactError unless fp32 does what PyTorch does.
        """
        checks = {
            precision: self.reference.judge(bundle, exact=precision == "fp32") for precision, bundle in bundles.items()
        }
        accuracy = {precision: self._accuracy(bundle) for precision, bundle in bundles.items()}
        return {
            precision: {
                "check": checks[precision],
                "quality": {
                    "sentences": len(self.labels),
                    "accuracy": accuracy[precision],
                    "accuracy_drop": accuracy["fp32"] - accuracy[precision],
                },
            }
            for precision in bundles
        }

    def _accuracy(self, bundle: Path) -> float:
        from hat.deploy.classifier import Classifier

        found = Classifier(bundle, workers=usable_cores()).classify(self.texts)
        return score_labels([label for label, _ in found], self.labels)["accuracy"]

    def describe_check(self, result: dict[str, Any]) -> str:
        """Part of a line for the user."""
        return self.reference.describe(result["check"])

    def describe_quality(self, result: dict[str, Any]) -> str:
        """One line for the user."""
        quality = result["quality"]
        return (
            f"accuracy {quality['accuracy']:.2f} on {quality['sentences']} validation texts "
            f"({quality['accuracy_drop']:+.2f} lost against fp32)"
        )

    def refusal(self, precision: str, result: dict[str, Any], allowed_drop: float) -> str | None:
        """Why a bundle must not be installed, for the user; None if it may be."""
        drop = result["quality"]["accuracy_drop"]
        return refusal(precision, f"loses {drop:.2f} points of accuracy against fp32", drop, allowed_drop)


def drawn_texts(
    run: RunDirectory, prepared: "ClassificationData", split: str, count: int
) -> tuple[list[Any], list[str]]:
    """(texts or pairs, label names) of lines of a split that the run's seed draws."""
    texts, pairs, labels = prepared.raw(split)
    chosen = draw_lines(prepared, split, count, run.config.seed)
    return [texts[at] if pairs is None else (texts[at], pairs[at]) for at in chosen], [labels[at] for at in chosen]


def drawn_ids(run: RunDirectory, prepared: "ClassificationData", split: str, count: int) -> list[list[int]]:
    """Token ids of lines of a split that the run's seed draws."""
    ids = prepared.token_ids(split)
    return [[int(token) for token in ids[at]] for at in draw_lines(prepared, split, count, run.config.seed)]


def describe_run_classifier(
    run: RunDirectory, name: str, architecture: Architecture, spec: ClassifierSpec, inputs: Mapping[str, Any]
) -> dict[str, Any]:
    """What bundle.json says of the classifier `name` of a run."""
    return describe_classifier(architecture, spec, run.prepared().max_tokens, built_from(run, name, inputs))


def write_trial_classifier(
    run: RunDirectory, model: "Classifier", precision: str, folder: Path, costs: DeviceCosts = UNMEASURED
) -> None:
    """Write a bundle of a standalone Classifier into the new `folder`, to be timed: nothing of it is checked."""
    prepared = run.prepared()
    weights = {name: tensor.detach().float().numpy() for name, tensor in model.state_dict().items()}
    whole, ranges = (model.architecture, model.spec, weights), {}
    if precision == "int8":
        ranges = calibrate_classifier(*whole, drawn_ids(run, prepared, "train", CALIBRATION_TEXTS))
    description = describe_run_classifier(run, "trial", *whole[:2], {"weights_sha256": "trial"})
    write_classifier_bundle(folder, whole, precision, ranges, prepared.text_encoder_file, description, costs)
