"""Architecture: one SubTransformer, immutable, canonical and hashable.

Only active layers are stored, so two architectures that compute the same are equal.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hat.config import from_mapping, left_out, to_mapping
from hat.errors import UsageError

if TYPE_CHECKING:
    from hat.architecture.space import SearchSpace

STACKS = ("encoder", "decoder")  # those an architecture or a search space may have, in the order of the data
CROSS_ATTENTION = ("cross_attention_heads", "cross_attention_span")  # fields of a decoder beside an encoder
WINDOWED = ("head_dim", "context")  # those of a decoder that attends to its own last positions only, by distance
WHOLE = ("embed_dim", "layers", "bin_dims")  # what a stack has once; every other field has one value a layer


@dataclass(frozen=True)
class EncoderArchitecture:
    """Encoder of a SubTransformer; each tuple holds one value per layer, first layer first."""

    embed_dim: int
    ffn_dim: tuple[int, ...]
    self_attention_heads: tuple[int, ...]

    @property
    def layers(self) -> int:
        return len(self.ffn_dim)


@dataclass(frozen=True)
class DecoderArchitecture:
    """Decoder of a SubTransformer; each tuple but `bin_dims` holds one value per layer, first layer first.

    `cross_attention_span` is how many of the last encoder layers the layer attends to (1 = the last); both
    `cross_attention_` tuples are empty where there is no encoder. A language model's decoder has a `head_dim` (width
    of each head's queries, keys and values) and a `context` (positions attended to, the own one included) in each
    layer; both are empty in any other. Its `bin_dims` are the columns of the table of each bin of words after the
    first, whose table is as wide as the stack; empty: those of the model's spec.
    """

    embed_dim: int
    ffn_dim: tuple[int, ...]
    self_attention_heads: tuple[int, ...]
    cross_attention_heads: tuple[int, ...] = left_out(())
    cross_attention_span: tuple[int, ...] = left_out(())
    head_dim: tuple[int, ...] = left_out(())
    context: tuple[int, ...] = left_out(())
    bin_dims: tuple[int, ...] = left_out(())

    @property
    def layers(self) -> int:
        return len(self.ffn_dim)


@dataclass(frozen=True)
class Architecture:
    """One SubTransformer: an encoder, a decoder or both.

    Either `qkv_dim` is the width that the heads of every attention split, or `head_dim` is the width of each head,
    unless the decoder has one for each layer.
    """

    qkv_dim: int | None = left_out(None)
    encoder: EncoderArchitecture | None = left_out(None)
    decoder: DecoderArchitecture | None = left_out(None)
    head_dim: int | None = left_out(None)

    def __post_init__(self) -> None:
        stacks = stacks_of(self)
        check_head_width(self, "architecture")
        for name, stack in stacks.items():
            self._check_stack(name, stack)
        check_bins(self, "decoder.bin_dims")
        if any(value < 1 for value in bins_of(self)):
            raise UsageError(f"decoder.bin_dims: values must be positive, got {list(bins_of(self))}")
        if len(stacks) == len(STACKS):
            for span in self.decoder.cross_attention_span:
                if span > self.encoder.layers:
                    raise UsageError(
                        f"decoder.cross_attention_span: {span} is above the encoder's {self.encoder.layers} layers; "
                        f"use at most {self.encoder.layers}"
                    )

    def _check_stack(self, name: str, stack: EncoderArchitecture | DecoderArchitecture) -> None:
        if stack.embed_dim < 1 or stack.layers < 1:
            raise UsageError(f"{name}: embed_dim and the number of layers must be positive")
        for field, values in per_layer_fields(self, name).items():
            if len(values) != stack.layers:
                raise UsageError(f"{name}.{field}: {len(values)} values for {stack.layers} layers; give one a layer")
            if any(value < 1 for value in values):
                raise UsageError(f"{name}.{field}: values must be positive, got {list(values)}")
            if field.endswith("heads"):
                check_heads(f"{name}.{field}", values, self.qkv_dim)

    def attention_dim(self, heads: int) -> int:
        """Width of the queries, keys and values of an attention of that many heads."""
        return self.qkv_dim or heads * self.head_dim

    def to_dict(self) -> dict[str, Any]:
        """Plain dictionary for YAML and JSON; a stack that is absent is left out."""
        return to_mapping(self)

    @classmethod
    def from_dict(cls, mapping: Any, where: str = "architecture") -> "Architecture":
        """Inverse of `to_dict`; raises UsageError naming the key that is wrong."""
        return from_mapping(cls, mapping, where)

    def summary(self) -> str:
        """One line for tables: 'encoder 4 x 256, decoder 2 x 192'."""
        return ", ".join(f"{name} {stack.layers} x {stack.embed_dim}" for name, stack in stacks_of(self).items())


def stacks_of(item: "Architecture | SearchSpace") -> dict[str, Any]:
    """{name: stack} of the stacks that an Architecture or a SearchSpace has; raises UsageError if it has none."""
    stacks = {name: getattr(item, name) for name in STACKS if getattr(item, name) is not None}
    if not stacks:
        raise UsageError(f"an architecture needs an {' or a '.join(STACKS)}")
    return stacks


def per_layer_fields(item: "Architecture | SearchSpace", name: str) -> dict[str, tuple[int, ...]]:
    """{field: values} of what the stack `name` of an Architecture or a SearchSpace has for each layer.

    Without an encoder there is no encoder-decoder attention, with one no window of the last positions; raises
    UsageError if such fields are given all the same.
    """
    fields = {field: values for field, values in vars(getattr(item, name)).items() if field not in WHOLE}
    if item.encoder is None:
        _drop(fields, CROSS_ATTENTION, name, "there is no encoder to attend to")
    else:
        _drop(fields, WINDOWED, name, "only a decoder without an encoder has it")
    if not any(fields.get(field) for field in WINDOWED):
        _drop(fields, WINDOWED, name, "")
    return fields


def _drop(fields: dict[str, tuple[int, ...]], unused: Iterable[str], name: str, reason: str) -> None:
    for field in [field for field in unused if field in fields]:
        if fields.pop(field):
            raise UsageError(f"{name}.{field}: {reason}; leave it out")


def check_head_width(item: "Architecture | SearchSpace", where: str) -> None:
    """Raise UsageError unless an Architecture or a SearchSpace says in one place how wide heads are."""
    given = {name: value for name in ("qkv_dim", "head_dim") if (value := getattr(item, name)) is not None}
    if item.decoder is not None and item.decoder.head_dim:
        for name in given:
            raise UsageError(f"{where}.{name}: the decoder has a head_dim of its own; leave one of the two out")
        return
    if len(given) != 1:
        raise UsageError(f"{where}: give either qkv_dim (which the heads split) or head_dim (of each head)")
    for name, value in given.items():
        if value < 1:
            raise UsageError(f"{where}.{name}: {value} is not positive")


def bins_of(item: "Architecture | SearchSpace") -> tuple[Any, ...]:
    """What an Architecture or a SearchSpace has of each bin of words after the first: () if it says nothing of them."""
    return item.decoder.bin_dims if item.decoder is not None else ()


def check_bins(item: "Architecture | SearchSpace", where: str) -> None:
    """Raise UsageError if anything but a language model has bins."""
    if bins_of(item) and not item.decoder.context:
        raise UsageError(f"{where}: only a language model's words are in bins; leave it out")


def check_heads(where: str, heads: Iterable[int], qkv_dim: int | None) -> None:
    """Raise UsageError unless every number of heads divides `qkv_dim`; None is divided by none."""
    for count in heads:
        if qkv_dim is not None and qkv_dim % count:
            raise UsageError(f"{where}: {count} heads do not divide qkv_dim {qkv_dim}; use a divisor of {qkv_dim}")
