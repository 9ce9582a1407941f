"""What a language model's bundles are made of, and how they are judged."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hat.architecture.stacks import Architecture
from hat.config import to_mapping
from hat.deploy.building.bundle_writer import write_bundle
from hat.deploy.building.language_model_graph import build_language_model_graphs
from hat.deploy.language_model import LanguageModel
from hat.errors import ArtifactError
from hat.experiment.run_directory import RunDirectory
from hat.export.bundles import built_from
from hat.export.language_modeling.calibration import calibrate_language_model, calibration_parts
from hat.export.refusal import refusal
from hat.models.checkpoint import load_model

if TYPE_CHECKING:
    from hat.models.language_model import LanguageModel as TorchLanguageModel
    from hat.models.language_model_spec import LanguageModelSpec


CHECKED_WORDS = 400  # of the validation text
ALONE = 100  # of these, so many a word at a time
JUDGED_LINES = 500  # of the validation text, at most
TOLERANCE = 1e-4  # of a log-probability


@dataclass(frozen=True)
class LanguageBundleMaker:
    """Makes and judges the bundles of one sub-training.

    `weights` are (Architecture, LanguageModelSpec, arrays); int8 products are calibrated on `parts` of the training
    text; the bundles' log-probabilities after each of `words`, as numbers, are held against PyTorch's, `expected`
    (words, vocabulary); quality is their perplexity on `lines`.
    """

    weights: "tuple[Architecture, LanguageModelSpec, dict[str, np.ndarray]]"
    parts: list
    words_file: Path
    description: dict
    words: list
    expected: np.ndarray
    lines: list

    @classmethod
    def of(
        cls,
        run: RunDirectory,
        name: str,
        weights: "tuple[Architecture, Any, dict[str, np.ndarray]]",
        inputs: Mapping[str, Any],
    ) -> "LanguageBundleMaker":
        """The LanguageBundleMaker of the sub-training `name`."""
        import torch

        prepared, model = run.prepared(), load_model(run.sub(name))
        model.round_states(None, ())  # bundles compute with exact ones
        words = [int(word) for word in prepared.stream("valid")[:CHECKED_WORDS]]
        with torch.inference_mode():
            following = torch.tensor([[*words[1:], prepared.end_of_line]])  # the last isn't looked up any more
            expected = model.log_probabilities(model(torch.tensor([words]))[0], following)[0].numpy()
        description = describe_language_model(run, name, model, inputs)
        lines = prepared.lines("valid")[:JUDGED_LINES]
        parts = calibration_parts(prepared.stream("train"))
        return cls(weights, parts, prepared.words_file, description, words, expected, lines)

    def write(self, precision: str, bundle: Path) -> None:
        """Write the bundle of this precision into the new folder `bundle`."""
        ranges = calibrate_language_model(*self.weights, self.parts) if precision == "int8" else None
        graphs = build_language_model_graphs(*self.weights, precision, ranges)
        write_bundle(bundle, graphs, {"words": self.words_file}, {"precision": precision, **self.description})

    def judge(self, bundles: Mapping[str, Path]) -> dict[str, Any]:
        """{precision: {"check", "quality"}} of {precision: folder}, of which fp32 is one.

        Raises ArtifactError unless fp32 does what PyTorch does.
        """
        models = {precision: LanguageModel(bundle) for precision, bundle in bundles.items()}
        differences = {precision: self._difference(model) for precision, model in models.items()}
        if not differences["fp32"] <= TOLERANCE:  # so that NaN fails
            raise ArtifactError(
                f"the exported graph differs from PyTorch by {differences['fp32']:.1e} in a log-probability (at most "
                f"{TOLERANCE:.0e} is allowed); nothing was replaced; please report this with the architecture"
            )
        perplexities = {precision: self._perplexity(model) for precision, model in models.items()}
        return {
            precision: {
                "check": {"words": len(self.words), "largest_difference": differences[precision]},
                "quality": {
                    "lines": len(self.lines),
                    "perplexity": perplexities[precision],
                    "perplexity_growth_percent": 100 * (perplexities[precision] / perplexities["fp32"] - 1),
                },
            }
            for precision in bundles
        }

    def _difference(self, model: LanguageModel) -> float:
        """The largest from PyTorch, the first words read one at a time, then all in two parts."""
        memory, alone = None, []
        for word in self.words[:ALONE]:
            found, memory = model.step([word], memory)
            alone.append(found)
        first, memory = model.step(self.words[:ALONE])
        parts = [*alone, first, model.step(self.words[ALONE:], memory)[0]] if self.words[ALONE:] else [*alone, first]
        expected = np.concatenate([self.expected[:ALONE], self.expected])
        return float(np.max(np.abs(np.concatenate(parts) - expected)))

    def _perplexity(self, model: LanguageModel) -> float:
        scores = model.score(self.lines)
        nats, words = (sum(getattr(score, name) for score in scores) for name in ("log_probability", "words"))
        return float(np.exp(-nats / words))

    def describe_check(self, result: dict[str, Any]) -> str:
        """Part of a line for the user."""
        check = result["check"]
        return f"log-probabilities of {check['words']} words within {check['largest_difference']:.1e} of PyTorch's"

    def describe_quality(self, result: dict[str, Any]) -> str:
        """One line for the user."""
        quality = result["quality"]
        return (
            f"perplexity {quality['perplexity']:.2f} on {quality['lines']} validation lines "
            f"({quality['perplexity_growth_percent']:+.2f} % against fp32)"
        )

    def refusal(self, precision: str, result: dict[str, Any], allowed_drop: float) -> str | None:
        """Why a bundle must not be installed, for the user; None if it may be."""
        growth = result["quality"]["perplexity_growth_percent"]
        return refusal(precision, f"has a perplexity {growth:.2f} % above fp32's", growth, allowed_drop)


def describe_language_model(
    run: RunDirectory, name: str, model: "TorchLanguageModel", inputs: Mapping[str, Any]
) -> dict[str, Any]:
    """What bundle.json says of the language model `name` of a run."""
    return {
        "task": model.spec.task,
        "architecture": model.architecture.to_dict(),
        "spec": to_mapping(model.spec),
        "context": max(model.architecture.decoder.context),
        "built_from": built_from(run, name, inputs),
        **({} if model.cache is None else {"cache": model.cache.described()}),
    }
