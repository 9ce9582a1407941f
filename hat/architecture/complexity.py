"""What an architecture costs: parameter shapes, parameter counts and FLOPs, without building a model."""

import math
from typing import Protocol

from hat.architecture.stacks import Architecture

Shapes = dict[str, tuple[int, ...]]


class Spec(Protocol):
    """What is asked of a model's spec, whatever the task."""

    def parameter_shapes(self, architecture: Architecture, /) -> Shapes: ...

    def multiply_adds(self, architecture: Architecture, tokens: int, steps: int, /) -> int: ...


def parameter_shapes(architecture: Architecture, spec: Spec) -> Shapes:
    """Name -> shape of every weight of the standalone network, in the order of its state dict, as the task's spec says.

    Q is the attention's width (`Architecture.attention_dim`), E and D the embed_dims of encoder and decoder:
    `qkv_proj` is (3Q, E or D) with query, key, value stacked, and `kv_proj` of the encoder-decoder attention (2Q, E),
    key first. Where `head_dim` is given they are stacked head by head: query, key, value of the first, of the second...
    """
    return spec.parameter_shapes(architecture)


def encoder_layer_shapes(architecture: Architecture) -> Shapes:
    """Name -> shape of every weight of the encoder's layers."""
    shapes: Shapes = {}
    for layer in range(architecture.encoder.layers):
        shapes |= self_attention_shapes("encoder", layer, architecture)
        shapes |= ffn_shapes("encoder", layer, architecture)
    return shapes


def linear_shapes(name: str, inputs: int, outputs: int) -> Shapes:
    """Name -> shape of the weights of a linear layer."""
    return {f"{name}.weight": (outputs, inputs), f"{name}.bias": (outputs,)}


def norm_shapes(name: str, dim: int) -> Shapes:
    """Name -> shape of the weights of a layer norm."""
    return {f"{name}.weight": (dim,), f"{name}.bias": (dim,)}


def self_attention_shapes(name: str, layer: int, architecture: Architecture) -> Shapes:
    """Name -> shape of the weights of one layer's self-attention, its norm included, in the stack `name`."""
    prefix, stack = f"{name}.layers.{layer}", getattr(architecture, name)
    embed_dim, qkv = stack.embed_dim, architecture.attention_dim(stack.self_attention_heads[layer])
    return (
        linear_shapes(f"{prefix}.self_attn.qkv_proj", embed_dim, 3 * qkv)
        | linear_shapes(f"{prefix}.self_attn.out_proj", qkv, embed_dim)
        | norm_shapes(f"{prefix}.self_attn_layer_norm", embed_dim)
    )


def ffn_shapes(name: str, layer: int, architecture: Architecture) -> Shapes:
    """Name -> shape of the weights of one layer's feed-forward part, its norm included, in the stack `name`."""
    prefix, stack = f"{name}.layers.{layer}", getattr(architecture, name)
    embed_dim, ffn_dim = stack.embed_dim, stack.ffn_dim[layer]
    return (
        linear_shapes(f"{prefix}.fc1", embed_dim, ffn_dim)
        | linear_shapes(f"{prefix}.fc2", ffn_dim, embed_dim)
        | norm_shapes(f"{prefix}.final_layer_norm", embed_dim)
    )


def is_embedding(name: str) -> bool:
    """Whether a weight belongs to the embeddings or the output layer, which HAT leaves out of its counts."""
    embeddings = ("embed_tokens.weight", "embed_positions.weight", "embed_segments.weight")
    return name.endswith(embeddings) or name.startswith(
        ("decoder.output_projection.", "classifier.", "embedding.", "output.")
    )


def count_parameters(architecture: Architecture, spec: Spec) -> tuple[int, int]:
    """(all parameters, parameters without embeddings and output layer)."""
    sizes = {name: math.prod(shape) for name, shape in parameter_shapes(architecture, spec).items()}
    total = sum(sizes.values())
    return total, total - sum(size for name, size in sizes.items() if is_embedding(name))


def count_flops(architecture: Architecture, spec: Spec, tokens: int, steps: int = 0) -> int:
    """FLOPs of one forward pass of a text of so many tokens, and so many decoded (0 where nothing is decoded).

    They are what HAT's counter (torchprofile) counts, without look-ups and the output layer: each multiply-add of a
    matrix product counts 2, and so does each multiplication of two elements: the scaling of the embeddings and of every
    attention's queries, and a layer norm's scale (its shift with it). Additions, softmax and activations count nothing.
    Encoder keys and values are counted once per decoder layer.
    """
    return 2 * spec.multiply_adds(architecture, tokens, steps)


def layers_multiply_adds(architecture: Architecture, name: str, length: int) -> int:
    """Of all layers of the stack `name` at `length` tokens, encoder-decoder attention apart."""
    stack, multiply_adds = getattr(architecture, name), 0
    dim = stack.embed_dim
    for ffn_dim, heads in zip(stack.ffn_dim, stack.self_attention_heads, strict=True):
        qkv = architecture.attention_dim(heads)
        multiply_adds += length * (4 * dim * qkv + 2 * dim * ffn_dim)
        multiply_adds += attention_multiply_adds(length, length, qkv)
        multiply_adds += 2 * length * dim  # layer norms
    return multiply_adds


def attention_multiply_adds(queries: int, keys: int, qkv_dim: int) -> int:
    """Of one attention, its projections apart: queries scaled, multiplied by the keys; weights by the values."""
    return queries * qkv_dim + 2 * queries * keys * qkv_dim
