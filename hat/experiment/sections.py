"""The sections of an experiment config that every task has, and what all its tasks have in common."""

import itertools
from collections.abc import Iterable
from dataclasses import dataclass, field, fields, replace
from typing import Annotated, Any, ClassVar, Literal, Self

from hat.architecture.space import SearchSpace
from hat.architecture.stacks import STACKS
from hat.config import Between, left_out, to_mapping
from hat.data.source_files import FILES, SPLITS
from hat.errors import UsageError

Count = Annotated[int, Between(1)]
CountOrNone = Annotated[int, Between(0)]
Share = Annotated[float, Between(0, 1)]
ShareBelowOne = Annotated[float, Between(0, 1, excluded=(1,))]
NotNegative = Annotated[float, Between(0)]
Positive = Annotated[float, Between(0, excluded=(0,))]
Seed = Annotated[int, Between(0, 2**31 - 1)]
Length = Annotated[int, Between(1, 2000)]  # the deployed graphs have positions for 2000 tokens
VocabularySize = Annotated[int, Between(5)]  # the first four ids are special symbols


def check_own_text(data: Any, generated: str) -> None:
    """Raise UsageError for keys of a data section that its corpus doesn't heed; `generated` is the one made here."""
    for split in SPLITS:
        if getattr(data, split) and data.corpus != FILES:
            raise UsageError(
                f"data.{split}: corpus {data.corpus} has its own text; leave data.{split} out, or set corpus: {FILES}"
            )
    if data.corpus != generated and data.synthetic_sentences != type(data).synthetic_sentences:
        raise UsageError(
            f"data.synthetic_sentences: {data.synthetic_sentences} has no effect on corpus {data.corpus}; "
            f"leave it out, or set corpus: {generated}"
        )


SUPER = "super"  # as a teacher: the SuperTransformer's largest SubTransformer


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

    share_keys: ClassVar[tuple[str, ...]] = ("word_level",)  # all that say how much is learnt word by word

    def __post_init__(self) -> None:
        where = "sub_training.distillation"
        if self.by_word and not self.teachers:
            remedy = f"name one, such as full, or set {' and '.join(self.share_keys)} to 0"
            raise UsageError(f"{where}.teachers: empty; {remedy}")
        if len(set(self.teachers)) < len(self.teachers):
            raise UsageError(f"{where}.teachers: {', '.join(self.teachers)} names one twice")
        if self.sequence_teacher == SUPER:
            raise UsageError(f"{where}.sequence_teacher: {SUPER} has no bundle to translate with; name a sub-training")

    @property
    def shares(self) -> tuple[float, ...]:
        """What a task's `learn_from` is told beside the teachers."""
        return tuple(getattr(self, key) for key in self.share_keys)

    @property
    def by_word(self) -> bool:
        """Whether anything is learnt from the teachers' word distributions."""
        return any(self.shares)

    def taught_by(self, teacher: str, share: float) -> Self:
        """The same where one teacher alone teaches word by word, with this share throughout."""
        shares: Any = dict.fromkeys(self.share_keys, share)
        return replace(self, teachers=(teacher,), **shares)

    @property
    def labels(self) -> int | None:
        """How many words of the teachers' distribution are written once for each place of the text; None: they teach
        all of it as the training goes.
        """
        return None


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

    section: ClassVar[str]

    def __post_init__(self) -> None:
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

    def _error(self, message: str) -> UsageError:
        return UsageError(f"{self.section}.{message}")


@dataclass(frozen=True)
class SuperDistillationConfig:
    """What the SuperTransformer learns from the full-size network, which is trained before it (DynaBERT, Hou 2020).

    It begins with that network's weights, the most important heads and FFN neurons first. The network's probabilities
    take the share `logits` of the labels' place; `hidden` weighs the mean squared difference of the layers' states.
    """

    logits: Share = 1.0
    hidden: NotNegative = 0.1


@dataclass(frozen=True)
class SuperTrainingConfig(TrainingConfig):
    """Training of the SuperTransformer, whose mean loss over `validation_subnets` SubTransformers is validated."""

    section: ClassVar = "super_training"
    validation_subnets: Annotated[int, Between(2)] = 4  # the smallest and the largest at least
    strategy: Literal["uniform", "sandwich"] = "uniform"
    distillation: SuperDistillationConfig | None = left_out(None)


@dataclass(frozen=True)
class SubTrainingConfig(TrainingConfig):
    """Training of one SubTransformer; its last `average_checkpoints` saved weights are averaged if that helps."""

    section: ClassVar = "sub_training"
    average_checkpoints: Count = 5
    init: Literal["scratch", "inherit"] = "scratch"
    distillation: DistillationConfig | None = None


@dataclass(frozen=True)
class CompressionConfig(TrainingConfig):
    """Pruning of a trained network, which teaches what is left of it; what it saved last is averaged if that helps.

    During the share `removal` of the updates groups are made to shrink, or are removed step by step; from then on the
    rest is trained alone. `method`: "reweighted" is group lasso whose weights are renewed `renewals` times (Li et al.
    2020, arXiv 2009.08065), "lasso" the plain one, "gradual" removes the smallest along a cubic course (Zhu and Gupta
    2017), "one_shot" all of them before the first update. `structure`: "whole" heads and FFN neurons, "columns" within
    blocks of `block_rows` rows (None: as many as pay on the device, or on an x86 server where that wasn't measured),
    or a language model's single "weights". What is kept of others is decided `over_all` or in each place alike: what
    counts most by the `importance` "gradients" (Molchanov et al. 2019, arXiv 1906.10771), or the largest ("size"), as
    of single weights always. Both lassos shrink what is to go as (1 - share of those updates) ** `strength`, whatever
    gradients do; by size, which groups these are is decided anew whenever weights are renewed. `epsilon` is added to
    the root mean square that a weight is the inverse of. The dense network's outputs take the share `distillation` of
    the references' place.
    """

    section: ClassVar = "compression"
    structures: ClassVar[tuple[str, ...]] = ("whole", "columns")  # that can be removed here
    method: Literal["reweighted", "lasso", "gradual", "one_shot"] = "reweighted"
    structure: Literal["whole", "columns", "weights"] = "whole"
    block_rows: Count | None = None
    ranking: Literal["over_all", "in_each"] = "over_all"
    importance: Literal["gradients", "size"] = "gradients"
    removal: ShareBelowOne = 0.5
    renewals: CountOrNone = 4
    strength: Positive = 1.0
    epsilon: Positive = 1e-3
    distillation: Share = 0.5
    average_checkpoints: Count = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.structure not in self.structures:
            raise self._error(f"structure: {self.structure} can't be removed here; use {' or '.join(self.structures)}")
        if self.method != "one_shot" and not 0 < self.removal_update < self.max_update:
            raise self._error(
                f"removal: {self.removal} of {self.max_update} updates leaves none before or after; use about 0.5"
            )

    @property
    def removal_update(self) -> int:
        """After so many updates nothing more is removed."""
        return 0 if self.method == "one_shot" else round(self.removal * self.max_update)


@dataclass(frozen=True)
class LatencyConfig:
    """How many latencies are measured.

    Without `samples`, measuring stops by itself, at the latest after `most_samples` architectures. Each is timed at
    least `repeats` times.
    """

    samples: Count | None = None
    most_samples: Annotated[int, Between(10)] = 400
    repeats: Count = 20


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

    def __post_init__(self) -> None:
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

    def _check_training(self) -> None:
        if self.trained_finalists > self.measured_finalists:
            raise UsageError(
                f"search.trained_finalists: {self.trained_finalists} is above "
                f"search.measured_finalists: {self.measured_finalists}"
            )
        if bool(self.halving_updates) != (self.trained_finalists > 1):
            raise UsageError("search.trained_finalists of 2 or more and search.halving_updates: give both, or neither")
        if list(self.halving_updates) != sorted(set(self.halving_updates)):
            raise UsageError(f"search.halving_updates: {list(self.halving_updates)} do not increase")


# The order of the sections in a run directory's config.yaml.
ORDER = (
    *("task", "name", "data", "model", "search_space", "super_training", "sub_training", "compression"),
    *("seed", "latency", "search", "evaluation"),
)


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """What the config of every task has; resolved and saved as `config.yaml` in its run directory."""

    name: str
    search_space: SearchSpace
    super_training: SuperTrainingConfig
    sub_training: SubTrainingConfig
    compression: CompressionConfig | None = left_out(None)
    seed: Seed = 1
    search: SearchConfig = field(default_factory=SearchConfig)

    compression_class: ClassVar[type[CompressionConfig]] = CompressionConfig  # of the section `compression`

    def __post_init__(self) -> None:
        last, end = max(self.search.halving_updates, default=0), self.sub_training.max_update
        if last > end:
            raise UsageError(f"search.halving_updates: {last} is above sub_training.max_update: {end}")

    @property
    def compressing(self) -> CompressionConfig:
        """The section `compression`; without one, trained as by `sub_training`, but at half its rate."""
        if self.compression is not None:
            return self.compression
        shared = {each.name: getattr(self.sub_training, each.name) for each in fields(TrainingConfig)}
        rates = {"lr": self.sub_training.lr / 2, "warmup_init_lr": self.sub_training.warmup_init_lr / 2}
        return self.compression_class(**{**shared, **rates})

    def check_stacks(self: Any, stacks: Iterable[str]) -> None:
        """Raise UsageError unless the search space has just the `stacks` of these names."""
        for stack in STACKS:
            if (stack in stacks) != (getattr(self.search_space, stack) is not None):
                remedy = "is missing" if stack in stacks else "has no use"
                raise UsageError(f"search_space: key {stack!r} {remedy}; {self.task} needs {' and '.join(stacks)}")

    def to_dict(self) -> dict[str, Any]:
        """Plain dictionary for YAML."""
        mapping = to_mapping(self)
        return {name: mapping[name] for name in ORDER if name in mapping}
