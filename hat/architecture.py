"""Architecture: one SubTransformer, immutable, canonical and hashable.

Only active layers are stored, so two architectures that compute the same are equal.
"""

from dataclasses import dataclass

from hat.config import from_mapping, to_mapping
from hat.errors import UsageError


@dataclass(frozen=True)
class EncoderArchitecture:
    """Encoder of a SubTransformer; each tuple holds one value per layer, first layer first."""

    embed_dim: int
    ffn_dim: tuple[int, ...]
    self_attention_heads: tuple[int, ...]

    @property
    def layers(self):
        return len(self.ffn_dim)


@dataclass(frozen=True)
class DecoderArchitecture:
    """Decoder of a SubTransformer; each tuple holds one value per layer, first layer first.

    `cross_attention_span` is how many of the last encoder layers the layer attends to (1 = the last).
    """

    embed_dim: int
    ffn_dim: tuple[int, ...]
    self_attention_heads: tuple[int, ...]
    cross_attention_heads: tuple[int, ...]
    cross_attention_span: tuple[int, ...]

    @property
    def layers(self):
        return len(self.ffn_dim)


@dataclass(frozen=True)
class Architecture:
    """One SubTransformer. `qkv_dim` is the width that the heads of every attention split."""

    qkv_dim: int
    encoder: EncoderArchitecture
    decoder: DecoderArchitecture

    def __post_init__(self):
        for name, stack in (("encoder", self.encoder), ("decoder", self.decoder)):
            self._check_stack(name, stack)
        for span in self.decoder.cross_attention_span:
            if span > self.encoder.layers:
                raise UsageError(
                    f"decoder.cross_attention_span: {span} is above the encoder's {self.encoder.layers} layers; "
                    f"use at most {self.encoder.layers}"
                )

    def _check_stack(self, name, stack):
        if stack.embed_dim < 1 or stack.layers < 1:
            raise UsageError(f"{name}: embed_dim and the number of layers must be positive")
        for field, values in vars(stack).items():
            if not isinstance(values, tuple):
                continue
            if len(values) != stack.layers:
                raise UsageError(f"{name}.{field}: {len(values)} values for {stack.layers} layers; give one a layer")
            if any(value < 1 for value in values):
                raise UsageError(f"{name}.{field}: values must be positive, got {list(values)}")
            if field.endswith("heads"):
                check_heads(f"{name}.{field}", values, self.qkv_dim)

    def to_dict(self):
        """Plain dictionary for YAML and JSON."""
        return to_mapping(self)

    @classmethod
    def from_dict(cls, mapping, where="architecture"):
        """Inverse of `to_dict`; raises UsageError naming the key that is wrong."""
        return from_mapping(cls, mapping, where)

    def summary(self):
        """One line for tables: 'encoder 4 x 256, decoder 2 x 192'."""
        return (
            f"encoder {self.encoder.layers} x {self.encoder.embed_dim}, "
            f"decoder {self.decoder.layers} x {self.decoder.embed_dim}"
        )


def check_heads(where, heads, qkv_dim):
    """Raise UsageError unless every number of heads divides `qkv_dim`."""
    for count in heads:
        if qkv_dim % count:
            raise UsageError(f"{where}: {count} heads do not divide qkv_dim {qkv_dim}; use a divisor of {qkv_dim}")
