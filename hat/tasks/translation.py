"""The task translation: parallel text, an encoder and a decoder, beam search."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from hat.architecture.stacks import Architecture
from hat.deploy.building.block_costs import UNMEASURED, DeviceCosts
from hat.tasks.task import Task

if TYPE_CHECKING:
    import numpy as np
    from onnx import ModelProto

    from hat.data.translation.prepared import PreparedData
    from hat.evaluation.inherited_loss import InheritedLoss
    from hat.evaluation.translation.judge import TranslationJudge
    from hat.experiment.run_directory import RunDirectory
    from hat.experiment.sections import TrainingConfig
    from hat.experiment.translation import TranslationExperiment, TranslationLatency
    from hat.export.translation.bundle_maker import BundleMaker
    from hat.export.translation.bundle_size import BundleSize
    from hat.models.translation import Transformer
    from hat.models.translation_spec import ModelSpec


LANGUAGES = {"en": "English", "de": "German", "fr": "French", "cs": "Czech"}


class Translation(Task):
    name, item = "translation", "token"
    phases: ClassVar = {"encode": "source tokens", "decode": "decoder steps"}
    length_keys = ("latency.source_length", "latency.target_steps")
    command, answers = "hat-translate", "translations"
    super_model, sub_model = "hat_supertransformer", "hat_transformer"

    def title(self, config: "TranslationExperiment") -> str:
        languages = config.data.source_lang, config.data.target_lang
        return " to ".join(LANGUAGES.get(code, code) for code in languages)

    def prepare(self, run: "RunDirectory", source_directory: Path | str | None = None) -> None:
        from hat.data.translation.prepare import prepare

        prepare(run, source_directory)

    def prepared(self, directory: Path | str) -> "PreparedData":
        from hat.data.translation.prepared import PreparedData

        return PreparedData(directory)

    def spec(self, config: "TranslationExperiment", prepared: "PreparedData") -> "ModelSpec":
        return config.model_spec(prepared.source_vocabulary, prepared.target_vocabulary)

    def announced_spec(self, config: "TranslationExperiment", vocabulary: int | None = None) -> "ModelSpec":
        size = vocabulary or config.latency.vocabulary_size or config.data.vocabulary_size
        return config.model_spec(size, size)

    def vocabularies(self, spec: "ModelSpec") -> dict[str, int]:
        return {"source": spec.source_vocabulary, "target": spec.target_vocabulary}

    def training_arguments(self, prepared: "PreparedData", training: "TrainingConfig") -> dict[str, Any]:
        return {
            "task": "hat_translation",
            "source-lang": prepared.source_lang,
            "target-lang": prepared.target_lang,
            "criterion": "hat_label_smoothed_cross_entropy",
            "label-smoothing": training.label_smoothing,
        }

    @property
    def spec_class(self) -> "type[ModelSpec]":
        from hat.models.translation_spec import ModelSpec

        return ModelSpec

    def judge(self, run: "RunDirectory") -> "TranslationJudge":
        from hat.evaluation.translation.judge import TranslationJudge

        return TranslationJudge(run)

    def fixed_lengths(self, config: "TranslationExperiment") -> tuple[int, ...] | None:
        latency = config.latency
        return None if latency.source_length is None else (latency.source_length, latency.target_steps)

    def corpus_lengths(
        self, config: "TranslationExperiment", prepared: "PreparedData", split: str
    ) -> Sequence[tuple[int, ...]]:
        from hat.data.tokenizer import Tokenizer

        languages = (prepared.source_lang, prepared.target_lang)
        encoded = (
            Tokenizer(prepared.sentencepiece(lang)).encode(lines)
            for lang, lines in zip(languages, prepared.raw(split), strict=True)
        )
        return [tuple(len(tokens) + 1 for tokens in side) for side in encoded]

    def measured_graphs(
        self,
        architecture: Architecture,
        spec: "ModelSpec",
        weights: "Mapping[str, np.ndarray]",
        precision: str,
        latency: "TranslationLatency",
    ) -> "dict[str, ModelProto]":
        from hat.deploy.beam_search import needed_graphs
        from hat.deploy.building.graphs import build_graphs, graph_names

        names = needed_graphs(graph_names(precision), latency.beam)
        return build_graphs(architecture, spec, weights, precision, names=names)

    def workload(self, spec: "ModelSpec", latency: "TranslationLatency") -> dict[str, int]:
        vocabularies = {f"{side}_vocabulary": size for side, size in self.vocabularies(spec).items()}
        return {"beam": latency.beam, **vocabularies}

    def with_few_words(self, spec: "ModelSpec", words: int) -> "ModelSpec":
        return replace(spec, target_vocabulary=words, share_all_embeddings=False)

    def calls(self, run: "RunDirectory", split: str, count: int, seed: int) -> dict[str, Any]:
        from sentencepiece import SentencePieceProcessor

        from hat.data.translation.pairs import sample_text

        prepared, most = run.prepared(), run.config.data.max_length
        sources = [source for source in sample_text(prepared, split, count, seed)[0] if source.strip()]
        processor = SentencePieceProcessor(model_file=str(prepared.sentencepiece(prepared.source_lang)))
        ids = [[*found[:most], processor.eos_id()] for found in processor.encode(sources)]
        return {"sentences": sources, "ids": ids}

    def bundle_maker(
        self,
        run: "RunDirectory",
        name: str,
        weights: "tuple[Architecture, Any, dict[str, np.ndarray]]",
        inputs: Mapping[str, Any],
    ) -> "BundleMaker":
        from hat.export.translation.bundle_maker import BundleMaker

        return BundleMaker.of(run, name, weights, inputs)

    def write_trial_bundle(
        self, run: "RunDirectory", model: "Transformer", precision: str, folder: Path, costs: DeviceCosts = UNMEASURED
    ) -> None:
        from hat.export.translation.trial_bundle import write_trial_bundle

        write_trial_bundle(run, model, precision, folder, costs)

    def bundle_size(self, run: "RunDirectory", precision: str) -> "BundleSize":
        from hat.export.translation.bundle_size import BundleSize

        return BundleSize(run, precision)

    def network_loss(
        self, run: "RunDirectory", network: Any, parts: "Sequence[np.ndarray]", device: str
    ) -> "InheritedLoss":
        from hat.evaluation.inherited_loss import InheritedLoss
        from hat.fairseq_plugin.datasets import load_batches

        most = run.config.search.max_tokens
        batches = [load_batches(run.prepared(), "valid", most, part) for part in parts]
        return InheritedLoss(network, batches, device)
