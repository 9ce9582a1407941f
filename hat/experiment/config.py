"""The experiment config: one YAML file, read into frozen dataclasses. Every key is explained in configs/."""

import itertools
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, ClassVar, Literal

from hat.architecture.complexity import ModelSpec
from hat.architecture.space import SearchSpace
from hat.architecture.stacks import STACKS
from hat.config import Between, from_mapping, read_yaml_mapping, to_mapping
from hat.data.corpora import FILES, SYNTHETIC
from hat.errors import UsageError

SUPER = "super"  # as a teacher: the SuperTransformer's largest SubTransformer

Count = Annotated[int, Between(1)]
CountOrNone = Annotated[int, Between(0)]
Share = Annotated[float, Between(0, 1)]
ShareBelowOne = Annotated[float, Between(0, 1, excluded=(1,))]
NotNegative = Annotated[float, Between(0)]
Positive = Annotated[float, Between(0, excluded=(0,))]
Seed = Annotated[int, Between(0, 2**31 - 1)]
Length = Annotated[int, Between(1, 2000)]  # the deployed graphs have positions for 2000 tokens
VocabularySize = Annotated[int, Between(5)]  # the first four ids are special symbols

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
    vocabulary_size: VocabularySize = 8000
    shared_vocabulary: bool = True
    max_length: Count = 250
    synthetic_sentences: Count = 20000

    def __post_init__(self):
        for split in ("train", "valid", "test"):
            if getattr(self, split) and self.corpus != FILES:
                raise UsageError(
                    f"data.{split}: corpus {self.corpus} has its own text; leave data.{split} out, or set corpus: files"
                )
        if self.corpus != SYNTHETIC and self.synthetic_sentences != DataConfig.synthetic_sentences:
            raise UsageError(
                f"data.synthetic_sentences: {self.synthetic_sentences} has no effect on corpus {self.corpus}; "
                f"leave it out, or set corpus: {SYNTHETIC}"
            )


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

    def __post_init__(self):
        if self.share_all_embeddings and not self.share_decoder_input_output_embed:
            raise UsageError(
                "model.share_decoder_input_output_embed: false has no effect under share_all_embeddings: true, which "
                "shares the output layer too; set it to true, or share_all_embeddings to false"
            )


@dataclass(frozen=True)
class DistillationConfig:
    """What a SubTransformer learns from teachers, beside its references.

    `teachers` are finished sub-trainings of the run, or SUPER; their mean word distribution replaces the share
    `word_level` of the references' (Hinton et al. 2015). With `sequence_level`, `sequence_teacher` translates the
    training text (Kim and Rush 2016) with beam `sequence_beam`.
    """

    word_level: Share = 0.0
    teachers: tuple[str, ...] = ("full",)
    sequence_level: Literal["none", "beside", "instead"] = "none"
    sequence_teacher: str = "full"
    sequence_beam: Count = 5

    def __post_init__(self):
        where = "sub_training.distillation"
        if self.word_level and not self.teachers:
            raise UsageError(f"{where}.teachers: empty; name one, such as full, or set word_level to 0")
        if len(set(self.teachers)) < len(self.teachers):
            raise UsageError(f"{where}.teachers: {', '.join(self.teachers)} names one twice")
        if self.sequence_teacher == SUPER:
            raise UsageError(f"{where}.sequence_teacher: {SUPER} has no bundle to translate with; name a sub-training")


# When a training saves and looks at itself: its course is the same whatever these are.
BOOKKEEPING = ("save_every", "validate_every", "average_checkpoints")


@dataclass(frozen=True)
class TrainingConfig:
    """What both trainings on fairseq's trainer have; `lr` is the peak rate.

    An update has `tokens_per_update`, over all processes, in batches of at most `max_tokens` each.
    """

    max_update: Count
    warmup_updates: CountOrNone
    lr: Positive
    lr_scheduler: Literal["inverse_sqrt", "cosine"] = "inverse_sqrt"
    warmup_init_lr: NotNegative = 1e-7
    min_lr: NotNegative = 1e-7
    max_tokens: Count = 4096
    tokens_per_update: Count = 4096
    weight_decay: NotNegative = 0.0
    adam_betas: tuple[ShareBelowOne, ...] = (0.9, 0.98)
    label_smoothing: ShareBelowOne = 0.1
    clip_norm: NotNegative = 0.0
    validate_every: Count = 1000
    save_every: Count = 500

    def __post_init__(self):
        if self.warmup_updates > self.max_update:
            raise self._error(f"warmup_updates: {self.warmup_updates} is above max_update: {self.max_update}")
        if self.warmup_init_lr > self.lr:
            raise self._error(f"warmup_init_lr: {self.warmup_init_lr} is above lr: {self.lr}")
        if self.lr_scheduler == "cosine" and self.min_lr > self.lr:
            raise self._error(f"min_lr: {self.min_lr} is above lr: {self.lr}")
        if self.lr_scheduler != "cosine" and self.min_lr != TrainingConfig.min_lr:
            raise self._error(f"min_lr: {self.min_lr} has no effect on {self.lr_scheduler}; leave it out")
        if len(self.adam_betas) != 2:
            raise self._error(f"adam_betas: give two numbers, got {list(self.adam_betas)}")

    def _error(self, message):
        return UsageError(f"{self.section}.{message}")


@dataclass(frozen=True)
class SuperTrainingConfig(TrainingConfig):
    """Training of the SuperTransformer, whose mean loss over `validation_subnets` SubTransformers is validated."""

    section: ClassVar = "super_training"
    validation_subnets: Annotated[int, Between(2)] = 4  # the smallest and the largest at least
    strategy: Literal["uniform", "sandwich"] = "uniform"


@dataclass(frozen=True)
class SubTrainingConfig(TrainingConfig):
    """Training of one SubTransformer; its last `average_checkpoints` saved weights are averaged."""

    section: ClassVar = "sub_training"
    average_checkpoints: Count = 5
    init: Literal["scratch", "inherit"] = "scratch"
    distillation: DistillationConfig | None = None


@dataclass(frozen=True)
class LatencyConfig:
    """What a latency is, and how many are measured.

    A latency is that of translating one sentence with `beam` hypotheses: of the corpus's lengths where `source_length`
    and `target_steps` are None, else of exactly those. Without `samples`, measuring stops by itself, at the latest
    after `most_samples` architectures. Each is timed at least `repeats` times.
    """

    samples: Count | None = None
    most_samples: Annotated[int, Between(10)] = 400
    source_length: Length | None = None
    target_steps: Length | None = None
    beam: Count = 4
    repeats: Count = 20
    vocabulary_size: VocabularySize | None = None

    def __post_init__(self):
        if (self.source_length is None) != (self.target_steps is None):
            raise UsageError("latency.source_length and latency.target_steps: give both, or null for both")


@dataclass(frozen=True)
class SearchConfig:
    """The evolutionary search (HAT, section 3.3) and the choice of the winner.

    Of the `measured_finalists`, the best `trained_finalists` are trained, and the worse half is dropped at each of
    `halving_updates`; with fewer than two, the loss with inherited weights decides.
    """

    latency: tuple[str, ...] = ()
    population: Count = 125
    parents: Count = 25
    mutations: CountOrNone = 50
    crossovers: CountOrNone = 50
    mutation_probability: Share = 0.3
    iterations: Count = 30
    measured_finalists: Count = 5
    trained_finalists: CountOrNone = 0
    halving_updates: tuple[Count, ...] = ()
    validation_sentences: Count = 1000
    rungs: tuple[Count, ...] = ()
    max_tokens: Count = 8192

    def __post_init__(self):
        if self.iterations > 1 and self.mutations + self.crossovers == 0:
            raise UsageError(
                f"search.iterations: {self.iterations} generations need children; set mutations or crossovers"
            )
        steps = (0, *self.rungs, self.validation_sentences)
        if any(fewer >= more for fewer, more in itertools.pairwise(steps)):
            raise UsageError(
                f"search.rungs: {list(self.rungs)} are not rising numbers of sentences from 1 to below "
                f"search.validation_sentences ({self.validation_sentences}); give such, or []"
            )
        self._check_training()

    def _check_training(self):
        if self.trained_finalists > self.measured_finalists:
            raise UsageError(
                f"search.trained_finalists: {self.trained_finalists} is above "
                f"search.measured_finalists: {self.measured_finalists}"
            )
        if bool(self.halving_updates) != (self.trained_finalists > 1):
            raise UsageError("search.trained_finalists of 2 or more and search.halving_updates: give both, or neither")
        if list(self.halving_updates) != sorted(set(self.halving_updates)):
            raise UsageError(f"search.halving_updates: {list(self.halving_updates)} do not increase")


@dataclass(frozen=True)
class EvaluationConfig:
    """Beam search at test time; at most max_len_a * source length + max_len_b tokens come out."""

    beam: Count = 5
    lenpen: NotNegative = 1.0
    max_len_a: NotNegative = 1.2
    max_len_b: CountOrNone = 10


@dataclass(frozen=True)
class ExperimentConfig:
    """A whole experiment; resolved and saved as `config.yaml` in its run directory."""

    name: str
    data: DataConfig
    model: ModelConfig
    search_space: SearchSpace
    super_training: SuperTrainingConfig
    sub_training: SubTrainingConfig
    seed: Seed = 1
    latency: LatencyConfig = field(default_factory=LatencyConfig)
    search: SearchConfig = field(default_factory=SearchConfig)
    evaluation: EvaluationConfig = field(default_factory=EvaluationConfig)

    def __post_init__(self):
        for stack in STACKS:
            if getattr(self.search_space, stack) is None:
                raise UsageError(f"search_space: key {stack!r} is missing; translation needs {' and '.join(STACKS)}")
        if self.model.share_all_embeddings and not self.data.shared_vocabulary:
            raise UsageError("model.share_all_embeddings needs data.shared_vocabulary: true")
        last, end = max(self.search.halving_updates, default=0), self.sub_training.max_update
        if last > end:
            raise UsageError(f"search.halving_updates: {last} is above sub_training.max_update: {end}")

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
    for section in ("super_training", "sub_training"):
        if isinstance(mapping.get(section), dict):
            mapping[section] = with_tokens_per_update(mapping[section])
    mapping.setdefault("name", Path(path).stem if not str(path).endswith("config.yaml") else "experiment")
    return from_mapping(ExperimentConfig, mapping, str(path))


def _without_retired_keys(mapping):
    kept = dict(mapping)
    for section, retired in RETIRED_KEYS.items():
        if isinstance(kept.get(section), dict):
            kept[section] = {key: value for key, value in kept[section].items() if key not in retired}
    return kept


def with_tokens_per_update(section):
    """A training section that has `tokens_per_update`; older ones have `update_freq`, batches in one process, or 1."""
    tokens, batches = section.get("max_tokens", TrainingConfig.max_tokens), section.get("update_freq", 1)
    if "tokens_per_update" in section or not (isinstance(tokens, int) and isinstance(batches, int)):
        return section
    kept = {key: value for key, value in section.items() if key != "update_freq"}
    return kept | {"tokens_per_update": tokens * batches}


def fingerprinted(training):
    """A TrainingConfig as a mapping, with `update_freq` where it says the same: so older results stay up to date."""
    mapping = to_mapping(training)
    tokens = mapping.pop("tokens_per_update")
    batches, rest = divmod(tokens, training.max_tokens)
    return mapping | ({"tokens_per_update": tokens} if rest else {"update_freq": batches})


def with_max_update(training, max_update):
    """A copy of a TrainingConfig that ends after `max_update` updates, its warm-up kept within them."""
    return replace(training, max_update=max_update, warmup_updates=min(training.warmup_updates, max_update // 2))
