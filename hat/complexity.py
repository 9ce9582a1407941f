"""What an architecture costs: parameter shapes, parameter counts and FLOPs, without building a model."""

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class ModelSpec:
    """All that, beside the Architecture, fixes a model's weights and computation.

    `encoder_position_dim` and `decoder_position_dim` are the SuperTransformer's full embed_dims: the
    sinusoidal table is computed at that width and sliced, and dropout is scaled by embed_dim over it.
    """

    source_vocabulary: int
    target_vocabulary: int
    encoder_position_dim: int
    decoder_position_dim: int
    share_all_embeddings: bool = True
    share_decoder_input_output_embed: bool = True
    activation: str = "relu"
    normalize_before: bool = False
    dropout: float = 0.0
    attention_dropout: float = 0.0
    activation_dropout: float = 0.0
    padding: int = 1
    end_of_sentence: int = 2


def parameter_shapes(architecture, spec):
    """Name -> shape of every weight of the standalone Transformer, in the order of its state dict.

    Q is qkv_dim, E and D the embed_dims of encoder and decoder: `qkv_proj` is (3Q, E or D) with query, key,
    value stacked; `kv_proj` of the encoder-decoder attention is (2Q, E), key first.
    """
    encoder, decoder, qkv = architecture.encoder, architecture.decoder, architecture.qkv_dim
    shapes = {"encoder.embed_tokens.weight": (spec.source_vocabulary, encoder.embed_dim)}
    if spec.share_all_embeddings:
        shapes["encoder.embed_tokens.weight"] = (
            spec.source_vocabulary,
            max(encoder.embed_dim, decoder.embed_dim),
        )
    for layer, ffn_dim in enumerate(encoder.ffn_dim):
        prefix = f"encoder.layers.{layer}"
        shapes |= _self_attention_shapes(prefix, encoder.embed_dim, qkv)
        shapes |= _ffn_shapes(prefix, encoder.embed_dim, ffn_dim)
    if spec.normalize_before:
        shapes |= _norm_shapes("encoder.layer_norm", encoder.embed_dim)
    if not spec.share_all_embeddings:
        shapes["decoder.embed_tokens.weight"] = (spec.target_vocabulary, decoder.embed_dim)
    for layer, ffn_dim in enumerate(decoder.ffn_dim):
        prefix = f"decoder.layers.{layer}"
        shapes |= _self_attention_shapes(prefix, decoder.embed_dim, qkv)
        shapes |= _linear_shapes(f"{prefix}.encoder_attn.q_proj", decoder.embed_dim, qkv)
        shapes |= _linear_shapes(f"{prefix}.encoder_attn.kv_proj", encoder.embed_dim, 2 * qkv)
        shapes |= _linear_shapes(f"{prefix}.encoder_attn.out_proj", qkv, decoder.embed_dim)
        shapes |= _norm_shapes(f"{prefix}.encoder_attn_layer_norm", decoder.embed_dim)
        shapes |= _ffn_shapes(prefix, decoder.embed_dim, ffn_dim)
    if spec.normalize_before:
        shapes |= _norm_shapes("decoder.layer_norm", decoder.embed_dim)
    if not (spec.share_all_embeddings or spec.share_decoder_input_output_embed):
        shapes["decoder.output_projection.weight"] = (spec.target_vocabulary, decoder.embed_dim)
    return shapes


def _linear_shapes(name, inputs, outputs):
    return {f"{name}.weight": (outputs, inputs), f"{name}.bias": (outputs,)}


def _norm_shapes(name, dim):
    return {f"{name}.weight": (dim,), f"{name}.bias": (dim,)}


def _self_attention_shapes(prefix, embed_dim, qkv_dim):
    return (
        _linear_shapes(f"{prefix}.self_attn.qkv_proj", embed_dim, 3 * qkv_dim)
        | _linear_shapes(f"{prefix}.self_attn.out_proj", qkv_dim, embed_dim)
        | _norm_shapes(f"{prefix}.self_attn_layer_norm", embed_dim)
    )


def _ffn_shapes(prefix, embed_dim, ffn_dim):
    return (
        _linear_shapes(f"{prefix}.fc1", embed_dim, ffn_dim)
        | _linear_shapes(f"{prefix}.fc2", ffn_dim, embed_dim)
        | _norm_shapes(f"{prefix}.final_layer_norm", embed_dim)
    )


def is_embedding(name):
    """Whether a weight belongs to the embeddings or the output layer, which HAT leaves out of its counts."""
    return name.endswith("embed_tokens.weight") or name == "decoder.output_projection.weight"


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
    encoder, decoder, qkv = architecture.encoder, architecture.decoder, architecture.qkv_dim
    multiply_adds = source_length * encoder.embed_dim + target_length * decoder.embed_dim  # embeddings, scaled
    for ffn_dim in encoder.ffn_dim:
        multiply_adds += source_length * (4 * encoder.embed_dim * qkv + 2 * encoder.embed_dim * ffn_dim)
        multiply_adds += _attention_multiply_adds(source_length, source_length, qkv)
        multiply_adds += 2 * source_length * encoder.embed_dim  # layer norms
    for ffn_dim, span in zip(decoder.ffn_dim, decoder.cross_attention_span, strict=True):
        keys = span * source_length
        multiply_adds += target_length * (6 * decoder.embed_dim * qkv + 2 * decoder.embed_dim * ffn_dim)
        multiply_adds += keys * 2 * encoder.embed_dim * qkv
        multiply_adds += _attention_multiply_adds(target_length, target_length, qkv)
        multiply_adds += _attention_multiply_adds(target_length, keys, qkv)
        multiply_adds += 3 * target_length * decoder.embed_dim  # layer norms
    return 2 * multiply_adds


def _attention_multiply_adds(queries, keys, qkv_dim):
    """Of one attention, its projections apart: queries scaled, multiplied by the keys; weights by the values."""
    return queries * qkv_dim + 2 * queries * keys * qkv_dim
