"""Reads the YAML files that the HAT authors publish: SubTransformers and search spaces."""

from collections.abc import Iterable
from typing import Any

from hat.architecture.space import DecoderSpace, EncoderSpace, SearchSpace
from hat.architecture.stacks import Architecture, DecoderArchitecture, EncoderArchitecture
from hat.errors import UsageError

HAT_QKV_DIM = 512  # fixed in all spaces of the paper and not written in HAT's SubTransformer files

_LAYER_KEYS = {
    "ffn_dim": "ffn-embed-dim",
    "self_attention_heads": "self-attention-heads",
    "cross_attention_heads": "ende-attention-heads",
    "cross_attention_span": "arbitrary-ende-attn",
}


def span_from_hat(value: int) -> int:
    """HAT writes -1 for the last encoder layer, 1 for the last two, 2 for the last three."""
    return 1 if value == -1 else value + 1


def architecture_from_hat(mapping: dict[str, Any], where: str) -> Architecture:
    """An Architecture from the keys `*-subtransformer` of HAT's YAML; raises UsageError naming a missing key."""
    stacks: dict[str, Any] = {}
    for name, cls in (("encoder", EncoderArchitecture), ("decoder", DecoderArchitecture)):
        layers = _require(mapping, f"{name}-layer-num-subtransformer", where)
        values = {"embed_dim": _require(mapping, f"{name}-embed-dim-subtransformer", where)}
        for field, hat_name in _fields_of(cls):
            listed = _require(mapping, f"{name}-{hat_name}-all-subtransformer", where)
            if not isinstance(listed, list) or len(listed) < layers:
                raise UsageError(f"{where}: {name}-{hat_name}-all-subtransformer must list {layers} layers")
            values[field] = _converted(field, listed[:layers])  # HAT's search output also lists inactive layers
        stacks[name] = cls(**values)
    return Architecture(qkv_dim=mapping.get("qkv-dim", HAT_QKV_DIM), **stacks)


def space_from_hat(mapping: dict[str, Any], where: str) -> SearchSpace:
    """A SearchSpace from the keys `*-choice` of HAT's YAML; raises UsageError naming a missing key."""
    stacks: dict[str, Any] = {}
    for name, cls in (("encoder", EncoderSpace), ("decoder", DecoderSpace)):
        values = {
            "embed_dim": tuple(_require(mapping, f"{name}-embed-choice", where)),
            "layers": tuple(_require(mapping, f"{name}-layer-num-choice", where)),
        }
        for field, hat_name in _fields_of(cls):
            values[field] = _converted(field, _require(mapping, f"{name}-{hat_name}-choice", where))
        stacks[name] = cls(**values)
    return SearchSpace(qkv_dim=mapping.get("qkv-dim", HAT_QKV_DIM), **stacks)


def _fields_of(cls: Any) -> list[tuple[str, str]]:
    return [(field, name) for field, name in _LAYER_KEYS.items() if field in cls.__dataclass_fields__]


def _converted(field: str, values: Iterable[int]) -> tuple[int, ...]:
    return tuple(span_from_hat(value) if field == "cross_attention_span" else value for value in values)


def _require(mapping: dict[str, Any], key: str, where: str) -> Any:
    if key not in mapping:
        raise UsageError(f"{where}: key {key!r} is missing")
    return mapping[key]
