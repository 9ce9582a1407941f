"""The task language_modeling: running text, a decoder that sees its last words, the next word."""

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn

from hat.architecture.stacks import Architecture
from hat.deploy.building.block_costs import UNMEASURED, DeviceCosts
from hat.errors import UsageError
from hat.tasks.task import Task

if TYPE_CHECKING:
    import numpy as np

    from hat.data.language_modeling.prepared import LanguageData
    from hat.evaluation.language_modeling.judge import LanguageJudge
    from hat.experiment.language_modeling import LanguageExperiment
    from hat.experiment.run_directory import RunDirectory
    from hat.experiment.sections import TrainingConfig
    from hat.export.language_modeling.bundle_maker import LanguageBundleMaker
    from hat.models.language_model_spec import LanguageModelSpec


VOCABULARY = 10000  # words, where the corpus isn't read yet and the config doesn't say


class LanguageModeling(Task):
    """Prepared, trained, judged and exported; latencies aren't measured yet, so that there is no search."""

    name, item = "language_modeling", "word"
    phases: ClassVar = {"prefill": "words of the prompt", "decode": "words"}
    length_keys = ()
    command, answers = "hat-score", "words"
    prunes, precisions = False, ("fp32",)
    super_model, sub_model = "hat_superlanguagemodel", "hat_languagemodel"

    def title(self, config: "LanguageExperiment") -> str:
        return f"Language modelling on {config.data.corpus if config.data.corpus != 'files' else config.name}"

    def prepare(self, run: "RunDirectory", source_directory: Path | str | None = None) -> None:
        from hat.data.language_modeling.prepare import prepare

        prepare(run, source_directory)

    def prepared(self, directory: Path | str) -> "LanguageData":
        from hat.data.language_modeling.prepared import LanguageData

        return LanguageData(directory)

    def spec(self, config: "LanguageExperiment", prepared: "LanguageData") -> "LanguageModelSpec":
        return config.model_spec(prepared.vocabulary, prepared.end_of_line, prepared.unknown)

    def announced_spec(self, config: "LanguageExperiment", vocabulary: int | None = None) -> "LanguageModelSpec":
        size = vocabulary or config.data.vocabulary_size or VOCABULARY
        return config.model_spec(size, end_of_line=0, unknown=1)  # ids don't change what is computed

    def loss_text(self, nats: float) -> str:
        return f"{super().loss_text(nats)}, perplexity {math.exp(nats):.2f}"

    def vocabularies(self, spec: "LanguageModelSpec") -> dict[str, int]:
        return {"words": spec.vocabulary}

    def training_arguments(self, prepared: "LanguageData", training: "TrainingConfig") -> dict[str, Any]:
        return {"task": "hat_language_modeling", "criterion": "hat_language_modeling"}

    @property
    def spec_class(self) -> "type[LanguageModelSpec]":
        from hat.models.language_model_spec import LanguageModelSpec

        return LanguageModelSpec

    def judge(self, run: "RunDirectory") -> "LanguageJudge":
        from hat.evaluation.language_modeling.judge import LanguageJudge

        return LanguageJudge(run)

    def fixed_lengths(self, config: "LanguageExperiment") -> NoReturn:
        _not_measured()

    def corpus_lengths(self, prepared: "LanguageData", split: str) -> NoReturn:
        _not_measured()

    def measured_graphs(
        self,
        architecture: Architecture,
        spec: "LanguageModelSpec",
        weights: "Mapping[str, np.ndarray]",
        precision: str,
        latency: Any,
    ) -> NoReturn:
        _not_measured()

    def workload(self, spec: "LanguageModelSpec", latency: Any) -> NoReturn:
        _not_measured()

    def calls(self, run: "RunDirectory", split: str, count: int, seed: int) -> NoReturn:
        _not_measured()

    def bundle_maker(
        self,
        run: "RunDirectory",
        name: str,
        weights: "tuple[Architecture, Any, dict[str, np.ndarray]]",
        inputs: Mapping[str, Any],
    ) -> "LanguageBundleMaker":
        from hat.export.language_modeling.bundle_maker import LanguageBundleMaker

        return LanguageBundleMaker.of(run, name, weights, inputs)

    def write_trial_bundle(
        self, run: "RunDirectory", model: Any, precision: str, folder: Path, costs: DeviceCosts = UNMEASURED
    ) -> NoReturn:
        _not_measured()

    def bundle_size(self, run: "RunDirectory", precision: str) -> Callable[[Architecture], int]:
        _not_measured()

    def inherited_loss(self, run: "RunDirectory", parts: "Sequence[np.ndarray]", device: str) -> NoReturn:
        _not_measured()


def _not_measured() -> NoReturn:
    raise UsageError(
        "task language_modeling: latencies of its models can't be measured yet, so that nothing is searched; use "
        "hat-train-sub --architecture, hat-evaluate --no-latency and hat-export"
    )
