"""The task classification: labelled texts or pairs of texts, an encoder, a label."""

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
    from torch import Tensor

    from hat.data.classification.prepared import ClassificationData
    from hat.evaluation.classification.judge import ClassificationJudge
    from hat.evaluation.inherited_loss import InheritedLabelLoss
    from hat.experiment.classification import ClassificationExperiment, ClassificationLatency
    from hat.experiment.run_directory import RunDirectory
    from hat.experiment.sections import TrainingConfig
    from hat.export.classification.bundle_maker import ClassifierBundleMaker
    from hat.export.graphs_size import GraphsSize
    from hat.models.classification import Classifier, SuperClassifier
    from hat.models.classifier_spec import ClassifierSpec


IMPORTANCE_TEXTS = 1000  # of the training split, over which the importance of heads and neurons is measured


class Classification(Task):
    name, item = "classification", "text"
    phases: ClassVar = {"encode": "tokens"}
    length_keys = ("latency.length",)
    command, answers = "hat-classify", "labels"
    super_model, sub_model = "hat_superclassifier", "hat_classifier"

    def title(self, config: "ClassificationExperiment") -> str:
        return f"Classifying {config.data.corpus if config.data.corpus != 'files' else config.name}"

    def prepare(self, run: "RunDirectory", source_directory: Path | str | None = None) -> None:
        from hat.data.classification.prepare import prepare

        prepare(run, source_directory)

    def prepared(self, directory: Path | str) -> "ClassificationData":
        from hat.data.classification.prepared import ClassificationData

        return ClassificationData(directory)

    def spec(self, config: "ClassificationExperiment", prepared: "ClassificationData") -> "ClassifierSpec":
        from hat.models.pretrained_network import described_network

        folder, labels = config.model.pretrained, tuple(prepared.labels)
        if folder is not None:
            network = described_network(prepared.network, folder, labels, prepared.first, prepared.separator)
            return config.pretrained_spec(network[1])
        given = {name: getattr(prepared, name) for name in ("first", "separator", "padding", "segments")}
        return config.classifier_spec(prepared.vocabulary, labels, **given)

    def announced_spec(self, config: "ClassificationExperiment", vocabulary: int | None = None) -> "ClassifierSpec":
        from hat.models.pretrained_network import pretrained_network

        special = {"first": 0, "separator": 2}  # ids don't change what is timed
        if config.model.pretrained is not None:
            spec = config.pretrained_spec(pretrained_network(config.model.pretrained, ("0", "1"), **special)[1])
            return replace(spec, vocabulary=vocabulary or spec.vocabulary)
        special |= {"padding": 1, "segments": 0}
        return config.classifier_spec(vocabulary or config.data.vocabulary_size, ("0", "1"), **special)

    def pretrained_files(self, config: "ClassificationExperiment") -> tuple[Path, ...]:
        from hat.models.pretrained_network import CONFIG, WEIGHTS

        folder = config.model.pretrained
        return () if folder is None else tuple(Path(folder) / name for name in (CONFIG, WEIGHTS))

    def pretrained_weights(self, run: "RunDirectory", architecture: Architecture) -> "dict[str, Tensor]":
        from hat.architecture.complexity import parameter_shapes
        from hat.models.pretrained import load_pretrained
        from hat.models.supernetwork import sliced

        config, prepared = run.config, run.prepared()
        given = config.model.pretrained, prepared.labels, prepared.first, prepared.separator
        _, _, weights = load_pretrained(*given, config.seed)
        return sliced(weights, parameter_shapes(architecture, run.spec()))

    def importance_ordered(self, run: "RunDirectory", network: "SuperClassifier | Classifier") -> Any:
        from hat.data.drawing import draw_lines
        from hat.fairseq_plugin.classification_data import load_labelled_batches
        from hat.models.importance import label_loss, measure_importance, reordered

        prepared, config = run.prepared(), run.config
        lines = draw_lines(prepared, "train", IMPORTANCE_TEXTS, config.seed)
        batches = load_labelled_batches(prepared, "train", config.super_training.max_tokens, lines)
        return reordered(network, measure_importance(network, batches, label_loss))

    def vocabularies(self, spec: "ClassifierSpec") -> dict[str, int]:
        return {"input": spec.vocabulary}

    def training_arguments(self, prepared: "ClassificationData", training: "TrainingConfig") -> dict[str, Any]:
        return {
            "task": "hat_classification",
            "criterion": "hat_classification",
            "label-smoothing": training.label_smoothing,
        }

    def fixed_lengths(self, config: "ClassificationExperiment") -> tuple[int, ...] | None:
        return None if config.latency.length is None else (config.latency.length,)

    def corpus_lengths(
        self, config: "ClassificationExperiment", prepared: "ClassificationData", split: str
    ) -> Sequence[tuple[int, ...]]:
        ids = prepared.token_ids(split)  # whose sizes are gone when it is
        return (tuple(int(size) for size in ids.sizes),)

    def measured_graphs(
        self,
        architecture: Architecture,
        spec: "ClassifierSpec",
        weights: "Mapping[str, np.ndarray]",
        precision: str,
        latency: "ClassificationLatency",
    ) -> "dict[str, ModelProto]":
        from hat.deploy.building.classifier_graph import build_classifier_graphs

        return build_classifier_graphs(architecture, spec, weights, precision)

    def workload(self, spec: "ClassifierSpec", latency: "ClassificationLatency") -> dict[str, int]:
        return {"vocabulary": spec.vocabulary, "labels": len(spec.labels)}

    def calls(self, run: "RunDirectory", split: str, count: int, seed: int) -> dict[str, Any]:
        from hat.data.drawing import draw_lines

        prepared = run.prepared()
        chosen = draw_lines(prepared, split, count, seed)
        texts, pairs, _ = prepared.raw(split)
        sentences = [texts[line] if pairs is None else [texts[line], pairs[line]] for line in chosen]
        ids = prepared.token_ids(split)
        return {"sentences": sentences, "ids": [[int(token) for token in ids[line]] for line in chosen]}

    def bundle_maker(
        self,
        run: "RunDirectory",
        name: str,
        weights: "tuple[Architecture, Any, dict[str, np.ndarray]]",
        inputs: Mapping[str, Any],
    ) -> "ClassifierBundleMaker":
        from hat.export.classification.bundle_maker import ClassifierBundleMaker

        return ClassifierBundleMaker.of(run, name, weights, inputs)

    def write_trial_bundle(
        self, run: "RunDirectory", model: "Classifier", precision: str, folder: Path, costs: DeviceCosts = UNMEASURED
    ) -> None:
        from hat.export.classification.bundle_maker import write_trial_classifier

        write_trial_classifier(run, model, precision, folder, costs)

    def bundle_size(self, run: "RunDirectory", precision: str) -> "GraphsSize":
        from hat.deploy.building.classifier_graph import build_classifier_graphs
        from hat.export.graphs_size import GraphsSize

        return GraphsSize(build_classifier_graphs, run.spec(), precision, run.prepared().text_encoder_file)

    @property
    def spec_class(self) -> "type[ClassifierSpec]":
        from hat.models.classifier_spec import ClassifierSpec

        return ClassifierSpec

    def judge(self, run: "RunDirectory") -> "ClassificationJudge":
        from hat.evaluation.classification.judge import ClassificationJudge

        return ClassificationJudge(run)

    def network_loss(
        self, run: "RunDirectory", network: Any, parts: "Sequence[np.ndarray]", device: str
    ) -> "InheritedLabelLoss":
        from hat.evaluation.inherited_loss import InheritedLabelLoss
        from hat.fairseq_plugin.classification_data import load_labelled_batches

        most = run.config.search.max_tokens
        batches = [load_labelled_batches(run.prepared(), "valid", most, part) for part in parts]
        return InheritedLabelLoss(network, batches, device)
