"""The experiment config of the task translation."""

from dataclasses import dataclass, field
from typing import Literal

from hat.architecture.stacks import STACKS
from hat.config import left_out, to_mapping
from hat.data.translation.corpora import SYNTHETIC
from hat.errors import UsageError
from hat.experiment.sections import (
    Count,
    CountOrNone,
    Experiment,
    LatencyConfig,
    Length,
    NotNegative,
    ShareBelowOne,
    VocabularySize,
    check_own_text,
)
from hat.models.translation_spec import ModelSpec


@dataclass(frozen=True)
class DataConfig:
    """Where the parallel text comes from and how it becomes tokens."""

    corpus: str
    source_lang: str
    target_lang: str
    train: tuple[str, ...] = ()
    valid: tuple[str, ...] = ()
    test: tuple[str, ...] = ()
    vocabulary_size: VocabularySize = 8000
    shared_vocabulary: bool = True
    max_length: Count = 250
    synthetic_sentences: Count = 20000

    def __post_init__(self) -> None:
        check_own_text(self, SYNTHETIC)


@dataclass(frozen=True)
class ModelConfig:
    """What is the same for every SubTransformer beside the search space."""

    share_all_embeddings: bool = True
    share_decoder_input_output_embed: bool = True
    activation: Literal["relu", "gelu"] = "relu"
    normalize_before: bool = False
    dropout: ShareBelowOne = 0.1
    attention_dropout: ShareBelowOne = 0.0
    activation_dropout: ShareBelowOne = 0.0

    def __post_init__(self) -> None:
        if self.share_all_embeddings and not self.share_decoder_input_output_embed:
            raise UsageError(
                "model.share_decoder_input_output_embed: false has no effect under share_all_embeddings: true, which "
                "shares the output layer too; set it to true, or share_all_embeddings to false"
            )


@dataclass(frozen=True)
class TranslationLatency(LatencyConfig):
    """What a latency is, and how many are measured.

    A latency is that of translating one sentence with `beam` hypotheses: of the corpus's lengths where `source_length`
    and `target_steps` are None, else of exactly those.
    """

    source_length: Length | None = None
    target_steps: Length | None = None
    beam: Count = 4
    vocabulary_size: VocabularySize | None = None

    def __post_init__(self) -> None:
        if (self.source_length is None) != (self.target_steps is None):
            raise UsageError("latency.source_length and latency.target_steps: give both, or null for both")


@dataclass(frozen=True)
class EvaluationConfig:
    """Beam search at test time; at most max_len_a * source length + max_len_b tokens come out."""

    beam: Count = 5
    lenpen: NotNegative = 1.0
    max_len_a: NotNegative = 1.2
    max_len_b: CountOrNone = 10


@dataclass(frozen=True, kw_only=True)
class TranslationExperiment(Experiment):
    """An experiment of the task translation."""

    data: DataConfig
    model: ModelConfig
    task: Literal["translation"] = left_out("translation")
    latency: TranslationLatency = field(default_factory=TranslationLatency)
    evaluation: EvaluationConfig = field(default_factory=EvaluationConfig)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.check_stacks(STACKS)
        if self.super_training.distillation is not None:
            raise UsageError(
                "super_training.distillation: only a classifier's SuperTransformer has a teacher; leave it out"
            )
        if self.search_space.head_dim is not None:
            raise UsageError(
                "search_space.head_dim: translation's heads split a fixed width; give qkv_dim in its place"
            )
        if self.model.share_all_embeddings and not self.data.shared_vocabulary:
            raise UsageError("model.share_all_embeddings needs data.shared_vocabulary: true")

    def model_spec(self, source_vocabulary: int, target_vocabulary: int) -> ModelSpec:
        """The ModelSpec of this experiment's SuperTransformer and of all its SubTransformers."""
        return ModelSpec(
            source_vocabulary=source_vocabulary,
            target_vocabulary=target_vocabulary,
            encoder_position_dim=self.search_space.encoder.embed_dim[-1],
            decoder_position_dim=self.search_space.decoder.embed_dim[-1],
            **to_mapping(self.model),
        )
