"""The experiment config: one YAML file, read into frozen dataclasses. Every key is explained in configs/."""

import math
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from hat.complexity import ModelSpec
from hat.config import from_mapping, read_yaml_mapping, to_mapping
from hat.errors import UsageError
from hat.search_space import SearchSpace

SUPER = "super"  # as a teacher: the SuperTransformer's largest SubTransformer

# The deployed graphs have positions for sentences of 2000 tokens; the first four ids are special symbols.
LATENCY_RANGES = {"source_length": (1, 2000), "target_steps": (1, 2000), "vocabulary_size": (5, math.inf)}

# Keys that the config.yaml of an older run directory holds though they meant nothing in their sections.
RETIRED_KEYS = {"super_training": ("average_checkpoints", "init"), "sub_training": ("validation_subnets",)}


@dataclass(frozen=True)
class DataConfig:
    """Where the parallel text comes from and how it becomes tokens."""

    corpus: str
    source_lang: str
    target_lang: str
    train: tuple[str, ...] = ()
    valid: tuple[str, ...] = ()
    test: tuple[str, ...] = ()
    vocabulary_size: int = 8000
    shared_vocabulary: bool = True
    max_length: int = 250
    synthetic_sentences: int = 20000


@dataclass(frozen=True)
class ModelConfig:
    """What is the same for every SubTransformer beside the search space."""

    share_all_embeddings: bool = True
    share_decoder_input_output_embed: bool = True
    activation: Literal["relu", "gelu"] = "relu"
    normalize_before: bool = False
    dropout: float = 0.1
    attention_dropout: float = 0.0
    activation_dropout: float = 0.0


@dataclass(frozen=True)
class DistillationConfig:
    """What a SubTransformer learns from teachers, beside its references.

    `teachers` are finished sub-trainings of the run, or SUPER; their mean word distribution replaces the share
    `word_level` of the references' (Hinton et al. 2015). With `sequence_level`, `sequence_teacher` translates the
    training text (Kim and Rush 2016) with beam `sequence_beam`.
    """

    word_level: float = 0.0
    teachers: tuple[str, ...] = ("full",)
    sequence_level: Literal["none", "beside", "instead"] = "none"
    sequence_teacher: str = "full"
    sequence_beam: int = 5

    def __post_init__(self):
        where = "sub_training.distillation"
        if not 0 <= self.word_level <= 1:
            raise UsageError(f"{where}.word_level: {self.word_level} is not between 0 and 1")
        if self.word_level and not self.teachers:
            raise UsageError(f"{where}.teachers: empty; name one, such as full, or set word_level to 0")
        if len(set(self.teachers)) < len(self.teachers):
            raise UsageError(f"{where}.teachers: {', '.join(self.teachers)} names one twice")
        if self.sequence_teacher == SUPER:
            raise UsageError(f"{where}.sequence_teacher: {SUPER} has no bundle to translate with; name a sub-training")
        if self.sequence_beam < 1:
            raise UsageError(f"{where}.sequence_beam: {self.sequence_beam} is below 1")


@dataclass(frozen=True)
class TrainingConfig:
    """What both trainings on fairseq's trainer have; `lr` is the peak rate, `max_tokens` counts per process."""

    max_update: int
    warmup_updates: int
    lr: float
    lr_scheduler: Literal["inverse_sqrt", "cosine"] = "inverse_sqrt"
    warmup_init_lr: float = 1e-7
    min_lr: float = 1e-7
    max_tokens: int = 4096
    update_freq: int = 1
    weight_decay: float = 0.0
    adam_betas: tuple[float, ...] = (0.9, 0.98)
    label_smoothing: float = 0.1
    clip_norm: float = 0.0
    validate_every: int = 1000
    save_every: int = 500


@dataclass(frozen=True)
class SuperTrainingConfig(TrainingConfig):
    """Training of the SuperTransformer, whose mean loss over `validation_subnets` SubTransformers is validated."""

    validation_subnets: int = 4
    strategy: Literal["uniform", "sandwich"] = "uniform"


@dataclass(frozen=True)
class SubTrainingConfig(TrainingConfig):
    """Training of one SubTransformer; its last `average_checkpoints` saved weights are averaged."""

    average_checkpoints: int = 5
    init: Literal["scratch", "inherit"] = "scratch"
    distillation: DistillationConfig | None = None


@dataclass(frozen=True)
class LatencyConfig:
    """What a latency is, and how many are measured.

    A latency is that of translating one sentence with `beam` hypotheses: of the corpus's lengths where `source_length`
    and `target_steps` are None, else of exactly those. Without `samples`, measuring stops by itself, at the latest
    after `most_samples` architectures. Each is timed at least `repeats` times.
    """

    samples: int | None = None
    most_samples: int = 400
    source_length: int | None = None
    target_steps: int | None = None
    beam: int = 4
    repeats: int = 20
    vocabulary_size: int | None = None

    def __post_init__(self):
        for name, value in vars(self).items():
            low, high = LATENCY_RANGES.get(name, (1, math.inf))
            if value is not None and not low <= value <= high:
                raise UsageError(f"latency.{name}: {value} is not between {low} and {high}")
        if (self.source_length is None) != (self.target_steps is None):
            raise UsageError("latency.source_length and latency.target_steps: give both, or null for both")


@dataclass(frozen=True)
class SearchConfig:
    """The evolutionary search (HAT, section 3.3) and the choice of the winner."""

    latency: tuple[str, ...] = ()
    population: int = 125
    parents: int = 25
    mutations: int = 50
    crossovers: int = 50
    mutation_probability: float = 0.3
    iterations: int = 30
    measured_finalists: int = 5
    validation_sentences: int = 1000
    max_tokens: int = 8192


@dataclass(frozen=True)
class EvaluationConfig:
    """Beam search at test time; at most max_len_a * source length + max_len_b tokens come out."""

    beam: int = 5
    lenpen: float = 1.0
    max_len_a: float = 1.2
    max_len_b: int = 10


@dataclass(frozen=True)
class ExperimentConfig:
    """A whole experiment; resolved and saved as `config.yaml` in its run directory."""

    name: str
    data: DataConfig
    model: ModelConfig
    search_space: SearchSpace
    super_training: SuperTrainingConfig
    sub_training: SubTrainingConfig
    seed: int = 1
    latency: LatencyConfig = field(default_factory=LatencyConfig)
    search: SearchConfig = field(default_factory=SearchConfig)
    evaluation: EvaluationConfig = field(default_factory=EvaluationConfig)

    def __post_init__(self):
        if self.model.share_all_embeddings and not self.data.shared_vocabulary:
            raise UsageError("model.share_all_embeddings needs data.shared_vocabulary: true")

    def model_spec(self, source_vocabulary, target_vocabulary):
        """The ModelSpec of this experiment's SuperTransformer and of all its SubTransformers."""
        return ModelSpec(
            source_vocabulary=source_vocabulary,
            target_vocabulary=target_vocabulary,
            encoder_position_dim=self.search_space.encoder.embed_dim[-1],
            decoder_position_dim=self.search_space.decoder.embed_dim[-1],
            **to_mapping(self.model),
        )

    def to_dict(self):
        """Plain dictionary for YAML."""
        return to_mapping(self)


def load_experiment(path):
    """Read an experiment config; raises UsageError naming the wrong key, ArtifactError if there is no file."""
    mapping = read_yaml_mapping(path)
    if Path(path).name == "config.yaml":  # a run directory's
        mapping = _without_retired_keys(mapping)
    mapping.setdefault("name", Path(path).stem if not str(path).endswith("config.yaml") else "experiment")
    return from_mapping(ExperimentConfig, mapping, str(path))


def _without_retired_keys(mapping):
    kept = dict(mapping)
    for section, retired in RETIRED_KEYS.items():
        if isinstance(kept.get(section), dict):
            kept[section] = {key: value for key, value in kept[section].items() if key not in retired}
    return kept


def with_max_update(training, max_update):
    """A copy of a TrainingConfig that ends after `max_update` updates, its warm-up kept within them."""
    return replace(training, max_update=max_update, warmup_updates=min(training.warmup_updates, max_update // 2))
