"""The task language_modeling: running text, a decoder that sees its last words, the next word."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from hat.architecture.stacks import Architecture
from hat.deploy.building.block_costs import UNMEASURED, DeviceCosts
from hat.errors import UsageError
from hat.report.loss_scale import PERPLEXITY
from hat.tasks.task import Task

if TYPE_CHECKING:
    import numpy as np
    from onnx import ModelProto

    from hat.data.language_modeling.prepared import LanguageData
    from hat.evaluation.inherited_loss import InheritedWordLoss
    from hat.evaluation.language_modeling.judge import LanguageJudge
    from hat.experiment.language_modeling import LanguageExperiment, LanguageLatency
    from hat.experiment.run_directory import RunDirectory
    from hat.experiment.sections import TrainingConfig
    from hat.export.graphs_size import GraphsSize
    from hat.export.language_modeling.bundle_maker import LanguageBundleMaker
    from hat.fairseq_plugin.trainer import HatTrainer
    from hat.models.language_model import LanguageModel
    from hat.models.language_model_spec import LanguageModelSpec


VOCABULARY = 10000  # words, where the corpus isn't read yet and the config doesn't say


class LanguageModeling(Task):
    """A call reads a prompt and writes words; its time over the words that it writes is a latency."""

    name, item = "language_modeling", "word"
    phases: ClassVar = {"prefill": "words of the prompt", "decode": "words"}
    length_keys = ("latency.prompt",)
    command, answers = "hat-score", "words"
    loss_scale = PERPLEXITY
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

    def sensitivity_loss(self, run: "RunDirectory") -> "tuple[Callable[[LanguageModel], float], str]":
        from hat.evaluation.language_modeling.part import part_loss

        return part_loss(run)

    def state_bounds(self, run: "RunDirectory", network: "LanguageModel") -> tuple[float, ...]:
        from hat.evaluation.language_modeling.part import state_bounds

        return state_bounds(run, network)

    def loss_text(self, nats: float) -> str:
        return f"{super().loss_text(nats)}, {PERPLEXITY.text(nats)}"

    def vocabularies(self, spec: "LanguageModelSpec") -> dict[str, int]:
        return {"words": spec.vocabulary}

    def training_arguments(self, prepared: "LanguageData", training: "TrainingConfig") -> dict[str, Any]:
        return {"task": "hat_language_modeling", "criterion": "hat_language_modeling"}

    def begin_training(self, trainer: "HatTrainer", training: "TrainingConfig") -> None:
        from hat.fairseq_plugin.trainer import optimised_weights, torch_optimizer
        from hat.training import processes
        from hat.training.hebbian import HebbianUpdates

        config = getattr(training, "hebbian", None)  # a compression has none
        if config is not None:
            if processes.world_size() > 1:
                raise UsageError("sub_training.hebbian: counts words in one process alone; leave out --processes")
            model, weights = trainer.get_model(), optimised_weights(trainer)
            output = model.transformer.output
            tables = [weights[f"embedding.tables.{index}.weight"] for index in range(len(output.embedding.tables))]
            model.observer = HebbianUpdates(output, tables, config, torch_optimizer(trainer)).see

    @property
    def spec_class(self) -> "type[LanguageModelSpec]":
        from hat.models.language_model_spec import LanguageModelSpec

        return LanguageModelSpec

    def judge(self, run: "RunDirectory") -> "LanguageJudge":
        from hat.evaluation.language_modeling.judge import LanguageJudge

        return LanguageJudge(run)

    def fixed_lengths(self, config: "LanguageExperiment") -> tuple[int, ...] | None:
        latency = config.latency
        return None if latency.prompt is None else (latency.prompt, latency.words)

    def corpus_lengths(
        self, config: "LanguageExperiment", prepared: "LanguageData", split: str
    ) -> Sequence[tuple[int, ...]]:
        prompts = tuple(len(line.split()) for line in prepared.lines(split))
        return prompts, (config.latency.words,) * len(prompts)

    def calls_fit(self, config: "LanguageExperiment") -> bool:
        return True  # prompts of any length are cut out of running text

    def latency_shares(self, config: "LanguageExperiment") -> int:
        return config.latency.words

    def latency_note(self, config: "LanguageExperiment") -> str:
        prompt, words = config.latency.prompt, config.latency.words
        return f"a word, of calls that read {'a line' if prompt is None else f'{prompt} words'} and write {words}"

    def measured_graphs(
        self,
        architecture: Architecture,
        spec: "LanguageModelSpec",
        weights: "Mapping[str, np.ndarray]",
        precision: str,
        latency: "LanguageLatency",
    ) -> "dict[str, ModelProto]":
        from hat.deploy.building.language_model_graph import build_language_model_graphs

        return build_language_model_graphs(architecture, spec, weights, precision)

    def workload(self, spec: "LanguageModelSpec", latency: "LanguageLatency") -> dict[str, int]:
        return {"vocabulary": spec.vocabulary, **({"cache": spec.cache} if spec.cache else {})}

    def with_few_words(self, spec: "LanguageModelSpec", words: int) -> "LanguageModelSpec":
        cutoffs = range(words - len(spec.cutoffs), words)  # as many bins, those after the first of one word each
        return replace(spec, vocabulary=words, cutoffs=tuple(cutoffs))

    def calls(self, run: "RunDirectory", split: str, count: int, seed: int) -> dict[str, Any]:
        from hat.data.language_modeling.prompts import draw_prompts

        prepared, latency = run.prepared(), run.config.latency
        prompts = draw_prompts(prepared, split, count, latency.prompt, seed)
        texts = map(prepared.words().text, prompts)
        return {"sentences": [{"prompt": text, "words": latency.words} for text in texts], "ids": prompts}

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
        self,
        run: "RunDirectory",
        model: "LanguageModel",
        precision: str,
        folder: Path,
        costs: DeviceCosts = UNMEASURED,
    ) -> None:
        from hat.export.language_modeling.trial_bundle import write_trial_bundle

        write_trial_bundle(run, model, precision, folder)

    def bundle_size(self, run: "RunDirectory", precision: str) -> "GraphsSize":
        from hat.deploy.building.language_model_graph import build_language_model_graphs
        from hat.export.graphs_size import GraphsSize

        return GraphsSize(build_language_model_graphs, run.spec(), precision, run.prepared().words_file)

    def network_loss(
        self, run: "RunDirectory", network: Any, parts: "Sequence[np.ndarray]", device: str
    ) -> "InheritedWordLoss":
        from hat.evaluation.inherited_loss import InheritedWordLoss
        from hat.fairseq_plugin.language_model_data import load_line_batches

        most, seen = run.config.search.max_tokens, run.config.search_space.decoder.context[-1] - 1
        batches = [load_line_batches(run.prepared(), "valid", most, part, seen) for part in parts]
        return InheritedWordLoss(network, batches, device)

    def validation_loss(self, run: "RunDirectory", network: "LanguageModel", device: str) -> float:
        """Of each word after all before it: a cache, and all layers together, see more than a line's batch has."""
        import numpy as np
        import torch

        from hat.evaluation.language_modeling.judge import word_losses

        words = torch.from_numpy(np.asarray(run.prepared().stream("valid"), np.int64))
        return float(word_losses(network.to(device).eval(), words.to(device)).double().mean())
