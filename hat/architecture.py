"""Architecture: one SubTransformer, immutable, canonical and hashable.

Only active layers are stored, so two architectures that compute the same are equal.
"""

from dataclasses import dataclass

import yaml

from hat.config import from_mapping, to_mapping
from hat.errors import ArtifactError, UsageError


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
        """One line for tables: 'enc 4x256, dec 2x192, ffn 1024/512/…'."""
        return (
            f"encoder {self.encoder.layers} x {self.encoder.embed_dim}, "
            f"decoder {self.decoder.layers} x {self.decoder.embed_dim}"
        )


def check_heads(where, heads, qkv_dim):
    """Raise UsageError unless every number of heads divides `qkv_dim`."""
    for count in heads:
        if qkv_dim % count:
            raise UsageError(f"{where}: {count} heads do not divide qkv_dim {qkv_dim}; use a divisor of {qkv_dim}")


def load_architecture(path):
    """Read an architecture from YAML or JSON, ours or HAT's `*-subtransformer` keys."""
    mapping = read_yaml_mapping(path)
    if any(key.endswith("-subtransformer") for key in mapping):
        from hat.hat_format import architecture_from_hat

        return architecture_from_hat(mapping, str(path))
    return Architecture.from_dict(mapping, str(path))


def read_yaml_mapping(path):
    """Read a YAML (or JSON) file whose top level is a mapping."""
    try:
        with open(path, encoding="utf-8") as handle:
            mapping = yaml.safe_load(handle)
    except FileNotFoundError:
        raise ArtifactError(f"{path}: no such file") from None
    except IsADirectoryError:
        raise ArtifactError(f"{path} is a directory; name a YAML file in it") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: not valid YAML ({' '.join(str(error).split())})") from None
    if not isinstance(mapping, dict):
        raise UsageError(f"{path}: expected keys and values at the top level, got {type(mapping).__name__}")
    return mapping
