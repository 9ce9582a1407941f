"""The experiment config of the task classification."""

from dataclasses import dataclass, field, replace
from typing import Annotated, Literal

from hat.config import Between
from hat.data.classification.corpora import GENERATED
from hat.errors import UsageError
from hat.experiment.sections import (
    SUPER,
    Count,
    Experiment,
    LatencyConfig,
    Length,
    ShareBelowOne,
    VocabularySize,
    check_own_text,
)
from hat.models.classifier_spec import ClassifierSpec


@dataclass(frozen=True)
class ClassificationDataConfig:
    """Where labelled text comes from and how it becomes tokens.

    Files are TSV, CSV or JSON lines with the named columns; with `text_pair` it is pairs of texts that have a label.
    A text, or a pair, has at most `max_length` tokens, special ones included; what is beyond is cut off.
    """

    corpus: str
    train: tuple[str, ...] = ()
    valid: tuple[str, ...] = ()
    test: tuple[str, ...] = ()
    text: str = "text"
    text_pair: str | None = None
    label: str = "label"
    vocabulary_size: VocabularySize = 8000
    max_length: Annotated[int, Between(4, 2000)] = 128
    synthetic_sentences: Count = 20000

    def __post_init__(self) -> None:
        check_own_text(self, GENERATED)


@dataclass(frozen=True)
class ClassifierConfig:
    """What is the same for every SubTransformer beside the search space.

    `pretrained` is a folder in Hugging Face's layout: its tokenizer is used, trainings begin with its weights in place
    of random ones, and positions, activation and norms are its own.
    """

    pretrained: str | None = None
    positions: Literal["learned", "sinusoidal"] = "learned"
    activation: Literal["relu", "gelu"] = "gelu"
    normalize_before: bool = False
    dropout: ShareBelowOne = 0.1
    attention_dropout: ShareBelowOne = 0.0
    activation_dropout: ShareBelowOne = 0.0

    def __post_init__(self) -> None:
        for key in ("positions", "activation", "normalize_before"):
            if self.pretrained is not None and getattr(self, key) != getattr(ClassifierConfig, key):
                raise UsageError(f"model.{key}: the pretrained network has its own; leave it out beside pretrained")


@dataclass(frozen=True)
class ClassificationLatency(LatencyConfig):
    """A latency is that of classifying one text: of the corpus's lengths, or of `length` tokens where that is given."""

    length: Length | None = None


@dataclass(frozen=True, kw_only=True)
class ClassificationExperiment(Experiment):
    """An experiment of the task classification."""

    data: ClassificationDataConfig
    model: ClassifierConfig
    task: Literal["classification"]
    latency: ClassificationLatency = field(default_factory=ClassificationLatency)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.check_stacks(("encoder",))
        distillation = self.sub_training.distillation
        if self.super_training.distillation and distillation and SUPER in distillation.teachers:
            raise UsageError(
                f"sub_training.distillation.teachers: {SUPER} learns from full (super_training.distillation) and can't "
                "teach it; name full, or leave one of the two out"
            )
        if distillation is not None and distillation.sequence_level != "none":
            raise UsageError(
                "sub_training.distillation.sequence_level: a classifier writes no text to learn from; set it to none, "
                "and word_level to the share of the labels that the teachers' probabilities replace"
            )

    def classifier_spec(
        self, vocabulary: int, labels: tuple[str, ...], first: int, separator: int, padding: int, segments: int
    ) -> ClassifierSpec:
        """The ClassifierSpec of this experiment's SuperTransformer and of all its SubTransformers."""
        model = self.model
        return ClassifierSpec(
            vocabulary=vocabulary,
            labels=labels,
            position_dim=self.search_space.encoder.embed_dim[-1],
            positions=model.positions,
            max_positions=self.data.max_length,
            first=first,
            separator=separator,
            segments=segments,
            normalize_embedding=model.positions == "learned",
            normalize_before=model.normalize_before,
            activation=model.activation,
            dropout=model.dropout,
            attention_dropout=model.attention_dropout,
            activation_dropout=model.activation_dropout,
            padding=padding,
        )

    def pretrained_spec(self, spec: ClassifierSpec) -> ClassifierSpec:
        """The ClassifierSpec that `classifier_spec` is where `spec`, a pretrained network's, is begun from."""
        model = self.model
        return replace(
            spec,
            position_dim=self.search_space.encoder.embed_dim[-1],
            max_positions=self.data.max_length,
            dropout=model.dropout,
            attention_dropout=model.attention_dropout,
            activation_dropout=model.activation_dropout,
        )
