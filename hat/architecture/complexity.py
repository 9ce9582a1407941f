"""What an architecture costs: parameter shapes, parameter counts and FLOPs, without building a model."""

import math
from dataclasses import dataclass
from typing import ClassVar

from hat.architecture.stacks import STACKS, stacks_of


@dataclass(frozen=True)
class ModelSpec:
    """All that, beside the Architecture, fixes a model's weights and computation.

    `encoder_position_dim` and `decoder_position_dim` are the SuperTransformer's full embed_dims: the
    sinusoidal table is computed at that width and sliced, and dropout is scaled by embed_dim over it. What is an
    encoder's (its positions, the source vocabulary) is None without one, and likewise a decoder's.
    """

    source_vocabulary: int | None = None
    target_vocabulary: int | None = None
    encoder_position_dim: int | None = None
    decoder_position_dim: int | None = None
    share_all_embeddings: bool = True
    share_decoder_input_output_embed: bool = True
    activation: str = "relu"
    normalize_before: bool = False
    dropout: float = 0.0
    attention_dropout: float = 0.0
    activation_dropout: float = 0.0
    padding: int = 1
    end_of_sentence: int = 2

    task: ClassVar[str] = "translation"
    layer_norm_epsilon: ClassVar[float] = 1e-5

    def parameter_shapes(self, architecture):
        """Name -> shape of every weight, in the order of the state dict."""
        shapes = {}
        if architecture.encoder is not None:
            shapes |= _encoder_shapes(architecture, self)
        if architecture.decoder is not None:
            shapes |= _decoder_shapes(architecture, self)
        return shapes

    def count_flops(self, architecture, source_length, target_length):
        """FLOPs of translating one sentence; see `count_flops`."""
        return count_flops(architecture, source_length, target_length)


def parameter_shapes(architecture, spec):
    """Name -> shape of every weight of the standalone network, in the order of its state dict, as the task's spec says.

    Q is the attention's width (`Architecture.attention_dim`), E and D the embed_dims of encoder and decoder:
    `qkv_proj` is (3Q, E or D) with query, key, value stacked, and `kv_proj` of the encoder-decoder attention (2Q, E),
    key first. Where `head_dim` is given they are stacked head by head: query, key, value of the first, of the second...
    """
    return spec.parameter_shapes(architecture)


def _encoder_shapes(architecture, spec):
    encoder = architecture.encoder
    widths = [stack.embed_dim for stack in stacks_of(architecture).values()]
    width = max(widths) if spec.share_all_embeddings else encoder.embed_dim
    shapes = {"encoder.embed_tokens.weight": (spec.source_vocabulary, width)}
    shapes |= encoder_layer_shapes(architecture)
    if spec.normalize_before:
        shapes |= norm_shapes("encoder.layer_norm", encoder.embed_dim)
    return shapes


def encoder_layer_shapes(architecture):
    """Name -> shape of every weight of the encoder's layers."""
    shapes = {}
    for layer in range(architecture.encoder.layers):
        shapes |= _self_attention_shapes("encoder", layer, architecture)
        shapes |= _ffn_shapes("encoder", layer, architecture)
    return shapes


def _decoder_shapes(architecture, spec):
    decoder, shares_all = architecture.decoder, spec.share_all_embeddings
    shapes = {}
    if architecture.encoder is None or not shares_all:
        shapes["decoder.embed_tokens.weight"] = (spec.target_vocabulary, decoder.embed_dim)
    for layer in range(decoder.layers):
        shapes |= _self_attention_shapes("decoder", layer, architecture)
        if architecture.encoder is not None:
            shapes |= _cross_attention_shapes(layer, architecture)
        shapes |= _ffn_shapes("decoder", layer, architecture)
    if spec.normalize_before:
        shapes |= norm_shapes("decoder.layer_norm", decoder.embed_dim)
    if not (shares_all or spec.share_decoder_input_output_embed):
        shapes["decoder.output_projection.weight"] = (spec.target_vocabulary, decoder.embed_dim)
    return shapes


def linear_shapes(name, inputs, outputs):
    """Name -> shape of the weights of a linear layer."""
    return {f"{name}.weight": (outputs, inputs), f"{name}.bias": (outputs,)}


def norm_shapes(name, dim):
    """Name -> shape of the weights of a layer norm."""
    return {f"{name}.weight": (dim,), f"{name}.bias": (dim,)}


def _self_attention_shapes(name, layer, architecture):
    prefix, stack = f"{name}.layers.{layer}", getattr(architecture, name)
    embed_dim, qkv = stack.embed_dim, architecture.attention_dim(stack.self_attention_heads[layer])
    return (
        linear_shapes(f"{prefix}.self_attn.qkv_proj", embed_dim, 3 * qkv)
        | linear_shapes(f"{prefix}.self_attn.out_proj", qkv, embed_dim)
        | norm_shapes(f"{prefix}.self_attn_layer_norm", embed_dim)
    )


def _cross_attention_shapes(layer, architecture):
    prefix, decoder = f"decoder.layers.{layer}", architecture.decoder
    own, memory = decoder.embed_dim, architecture.encoder.embed_dim
    qkv = architecture.attention_dim(decoder.cross_attention_heads[layer])
    return (
        linear_shapes(f"{prefix}.encoder_attn.q_proj", own, qkv)
        | linear_shapes(f"{prefix}.encoder_attn.kv_proj", memory, 2 * qkv)
        | linear_shapes(f"{prefix}.encoder_attn.out_proj", qkv, own)
        | norm_shapes(f"{prefix}.encoder_attn_layer_norm", own)
    )


def _ffn_shapes(name, layer, architecture):
    prefix, stack = f"{name}.layers.{layer}", getattr(architecture, name)
    embed_dim, ffn_dim = stack.embed_dim, stack.ffn_dim[layer]
    return (
        linear_shapes(f"{prefix}.fc1", embed_dim, ffn_dim)
        | linear_shapes(f"{prefix}.fc2", ffn_dim, embed_dim)
        | norm_shapes(f"{prefix}.final_layer_norm", embed_dim)
    )


def is_embedding(name):
    """Whether a weight belongs to the embeddings or the output layer, which HAT leaves out of its counts."""
    embeddings = ("embed_tokens.weight", "embed_positions.weight", "embed_segments.weight")
    return name.endswith(embeddings) or name.startswith(("decoder.output_projection.", "classifier."))


def count_parameters(architecture, spec):
    """(all parameters, parameters without embeddings and output layer)."""
    sizes = {name: math.prod(shape) for name, shape in parameter_shapes(architecture, spec).items()}
    total = sum(sizes.values())
    return total, total - sum(size for name, size in sizes.items() if is_embedding(name))


def count_flops(architecture, source_length, target_length):
    """FLOPs of one forward pass as HAT's counter (torchprofile) counts them, without look-ups and the output layer.

    Each multiply-add of a matrix product counts 2, and so does each multiplication of two elements: the scaling of
    the embeddings and of every attention's queries, and a layer norm's scale (its shift with it). Additions,
    softmax and activations count nothing. Encoder keys and values are counted once per decoder layer.
    """
    multiply_adds = 0
    lengths = {"encoder": source_length, "decoder": target_length}
    for name, stack in stacks_of(architecture).items():
        multiply_adds += lengths[name] * stack.embed_dim  # embeddings, scaled
        multiply_adds += layers_multiply_adds(architecture, name, lengths[name])
    if len(stacks_of(architecture)) == len(STACKS):
        multiply_adds += _cross_attention_multiply_adds(architecture, source_length, target_length)
    return 2 * multiply_adds


def layers_multiply_adds(architecture, name, length):
    """Of all layers of the stack `name` at `length` tokens, encoder-decoder attention apart."""
    stack, multiply_adds = getattr(architecture, name), 0
    dim = stack.embed_dim
    for ffn_dim, heads in zip(stack.ffn_dim, stack.self_attention_heads, strict=True):
        qkv = architecture.attention_dim(heads)
        multiply_adds += length * (4 * dim * qkv + 2 * dim * ffn_dim)
        multiply_adds += _attention_multiply_adds(length, length, qkv)
        multiply_adds += 2 * length * dim  # layer norms
    return multiply_adds


def _cross_attention_multiply_adds(architecture, source_length, target_length):
    decoder = architecture.decoder
    own, memory = decoder.embed_dim, architecture.encoder.embed_dim
    multiply_adds = 0
    for span, heads in zip(decoder.cross_attention_span, decoder.cross_attention_heads, strict=True):
        keys, qkv = span * source_length, architecture.attention_dim(heads)
        multiply_adds += target_length * 2 * own * qkv + keys * 2 * memory * qkv
        multiply_adds += _attention_multiply_adds(target_length, keys, qkv)
        multiply_adds += target_length * own  # layer norm
    return multiply_adds


def _attention_multiply_adds(queries, keys, qkv_dim):
    """Of one attention, its projections apart: queries scaled, multiplied by the keys; weights by the values."""
    return queries * qkv_dim + 2 * queries * keys * qkv_dim
