"""The experiment config of the task language_modeling."""

from dataclasses import dataclass, field
from typing import Annotated, ClassVar, Literal

from hat.config import Between, left_out, to_mapping
from hat.data.language_modeling.corpora import GENERATED
from hat.errors import UsageError
from hat.experiment.sections import (
    CompressionConfig,
    Count,
    CountOrNone,
    DistillationConfig,
    Experiment,
    LatencyConfig,
    Length,
    Share,
    ShareBelowOne,
    SubTrainingConfig,
    VocabularySize,
    check_own_text,
)
from hat.models.language_model_spec import LanguageModelSpec


@dataclass(frozen=True)
class LanguageDataConfig:
    """Where running text comes from; words are what spaces part, and a line's end is one.

    A vocabulary has the `vocabulary_size` most frequent words (None: all) of the training split; by the `tokenizer`
    sentencepiece it has so many pieces of words, each of which then counts as a word. Text is learnt in
    sequences of `max_length` words, all of which a training step sees at once.
    """

    corpus: str
    train: tuple[str, ...] = ()
    valid: tuple[str, ...] = ()
    test: tuple[str, ...] = ()
    tokenizer: Literal["words", "sentencepiece"] = left_out("words")
    vocabulary_size: VocabularySize | None = None
    max_length: Annotated[int, Between(2)] = 256
    synthetic_sentences: Count = 20000

    def __post_init__(self) -> None:
        check_own_text(self, GENERATED)
        if self.tokenizer == "sentencepiece" and self.vocabulary_size is None:
            raise UsageError("data.vocabulary_size: sentencepiece needs the number of pieces; give one, such as 8000")


@dataclass(frozen=True)
class LanguageModelConfig:
    """What is the same for every SubTransformer beside the search space.

    Words, the most frequent first, are cut at `cutoffs` into bins, whose tables have `bin_dims` columns; the first's
    has those of the network, and its number here is the largest embed_dim. The others are the largest, too, where the
    search space has choices. A neural `cache` looks at so many last states (while it is trained, at those of the same
    sequence); 0: none.
    """

    cutoffs: tuple[Count, ...] = ()
    bin_dims: tuple[Count, ...] = ()
    activation: Literal["relu", "gelu"] = "relu"
    dropout: ShareBelowOne = 0.1
    embedding_dropout: ShareBelowOne = 0.1
    output_dropout: ShareBelowOne = 0.1
    attention_dropout: ShareBelowOne = 0.0
    activation_dropout: ShareBelowOne = 0.0
    cache: CountOrNone = left_out(0)

    def __post_init__(self) -> None:
        if list(self.cutoffs) != sorted(set(self.cutoffs)):
            raise UsageError(f"model.cutoffs: {list(self.cutoffs)} do not rise; give word numbers in order")
        bins = len(self.cutoffs) + 1 if self.cutoffs else 0
        if len(self.bin_dims) != bins:
            raise UsageError(f"model.bin_dims: {len(self.bin_dims)} values for {bins} bins; give one for each")

    def check_cutoffs(self, vocabulary: int) -> None:
        """Raise UsageError if a cut-off leaves no word after it."""
        if self.cutoffs and self.cutoffs[-1] >= vocabulary:
            raise UsageError(
                f"model.cutoffs: {self.cutoffs[-1]} is not below the {vocabulary} words of the vocabulary; lower it"
            )


@dataclass(frozen=True)
class LanguageDistillationConfig(DistillationConfig):
    """The `top_k` most probable words of the teachers' mean distribution, written once for each word of the text.

    The share of the loss that they have goes from `word_level` to `last_word_level` (teacher annealing).
    """

    word_level: Share = 0.5
    last_word_level: Share = 0.05
    top_k: Count = 30

    share_keys: ClassVar = ("word_level", "last_word_level")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.sequence_level != "none":
            raise UsageError(
                "sub_training.distillation.sequence_level: a language model learns from the text itself; set it to none"
            )

    @property
    def labels(self) -> int:
        return self.top_k


@dataclass(frozen=True)
class HebbianConfig:
    """See hat.training.hebbian: the least rate, and how often a word is seen until it isn't moved any more."""

    gamma: Share = 0.01
    limit: Count = 500


@dataclass(frozen=True)
class LanguageSubTrainingConfig(SubTrainingConfig):
    """Training of one language model; `hebbian` moves its tables after each update."""

    distillation: LanguageDistillationConfig | None = None
    hebbian: HebbianConfig | None = left_out(None)


@dataclass(frozen=True)
class LanguageCompressionConfig(CompressionConfig):
    """Pruning of single weights, of each tensor as many as its sensitivity allows (see
    hat.compression.pruning.sensitivity), or of whole heads and FFN neurons; what is left learns from text alone.
    """

    structures: ClassVar = ("weights", "whole")
    label_smoothing: ShareBelowOne = 0.0
    method: Literal["reweighted", "lasso", "gradual", "one_shot"] = "gradual"
    structure: Literal["whole", "columns", "weights"] = "weights"
    distillation: Share = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.structure == "weights" and self.method not in ("gradual", "one_shot"):
            raise self._error(f"method: {self.method} shrinks groups; for structure: weights use gradual or one_shot")
        if self.distillation:
            raise self._error(
                f"distillation: {self.distillation}: what is left of a language model learns from text alone; set it "
                "to 0"
            )


@dataclass(frozen=True)
class LanguageLatency(LatencyConfig):
    """A latency is that of a word: the time of a call that reads a prompt and writes `words`, divided by these.

    The prompt is of `prompt` words of the validation text; where that is None, one of its lines.
    """

    prompt: Length | None = 32
    words: Annotated[int, Between(2, 2000)] = 32  # the first of them comes with the prompt


@dataclass(frozen=True, kw_only=True)
class LanguageExperiment(Experiment):
    """An experiment of the task language_modeling."""

    data: LanguageDataConfig
    sub_training: LanguageSubTrainingConfig
    model: LanguageModelConfig
    task: Literal["language_modeling"]
    latency: LanguageLatency = field(default_factory=LanguageLatency)
    compression: LanguageCompressionConfig | None = left_out(None)

    compression_class: ClassVar = LanguageCompressionConfig

    def __post_init__(self) -> None:
        super().__post_init__()
        self.check_stacks(("decoder",))
        self._check_space()
        if self.super_training.distillation is not None:
            raise UsageError("super_training.distillation: language models learn from text alone here; leave it out")
        for training in (self.super_training, self.sub_training):
            where = training.section
            if training.label_smoothing:
                raise UsageError(
                    f"{where}.label_smoothing: {training.label_smoothing} has no place in a perplexity; set it to 0"
                )
            if training.max_tokens < self.data.max_length:
                raise UsageError(
                    f"{where}.max_tokens: {training.max_tokens} is less than one sequence of data.max_length: "
                    f"{self.data.max_length}; raise it"
                )

    def _check_space(self) -> None:
        decoder = self.search_space.decoder
        if not decoder.context:
            raise UsageError(
                "search_space.decoder: keys 'head_dim' and 'context' are missing; a language model's heads have a "
                "width, and its layers a context, of their own"
            )
        if decoder.context[-1] > self.data.max_length:
            raise UsageError(
                f"search_space.decoder.context: {decoder.context[-1]} is above data.max_length: "
                f"{self.data.max_length}, the words that a training step sees; raise that"
            )
        if self.model.bin_dims and self.model.bin_dims[0] != decoder.embed_dim[-1]:
            raise UsageError(
                f"model.bin_dims: the first is {self.model.bin_dims[0]}; it is the largest embed_dim, "
                f"{decoder.embed_dim[-1]}"
            )
        if decoder.bin_dims:
            self._check_bins(decoder.bin_dims)

    def _check_bins(self, choices: tuple[tuple[int, ...], ...]) -> None:
        where, largest = "search_space.decoder.bin_dims", [of_bin[-1] for of_bin in choices]
        if len(choices) != len(self.model.cutoffs):
            raise UsageError(
                f"{where}: {len(choices)} lists of choices, but {len(self.model.cutoffs)} bins after the first, whose "
                "columns are embed_dim (model.cutoffs); give one for each of them"
            )
        if largest != list(self.model.bin_dims[1:]):
            raise UsageError(
                f"{where}: the largest are {largest}, but model.bin_dims says {list(self.model.bin_dims[1:])} of the "
                "bins after the first; let them agree"
            )

    def model_spec(self, vocabulary: int, end_of_line: int, unknown: int) -> LanguageModelSpec:
        """The LanguageModelSpec of this experiment's SuperTransformer and of all its SubTransformers."""
        self.model.check_cutoffs(vocabulary)
        return LanguageModelSpec(
            vocabulary=vocabulary,
            full_embed_dim=self.search_space.decoder.embed_dim[-1],
            end_of_line=end_of_line,
            unknown=unknown,
            **{**to_mapping(self.model), "cutoffs": self.model.cutoffs, "bin_dims": self.model.bin_dims},
        )
