"""What, beside its Architecture, fixes a translation model's weights and computation."""

from dataclasses import dataclass
from typing import ClassVar

from hat.architecture.complexity import (
    Shapes,
    attention_multiply_adds,
    encoder_layer_shapes,
    ffn_shapes,
    layers_multiply_adds,
    linear_shapes,
    norm_shapes,
    self_attention_shapes,
)
from hat.architecture.stacks import STACKS, Architecture, stacks_of


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

    def parameter_shapes(self, architecture: Architecture) -> Shapes:
        """Name -> shape of every weight, in the order of the state dict."""
        shapes: Shapes = {}
        if architecture.encoder is not None:
            shapes |= _encoder_shapes(architecture, self)
        if architecture.decoder is not None:
            shapes |= _decoder_shapes(architecture, self)
        return shapes

    def multiply_adds(self, architecture: Architecture, source_length: int, target_length: int) -> int:
        """Of translating one sentence; see `hat.architecture.complexity.count_flops`."""
        multiply_adds, lengths = 0, {"encoder": source_length, "decoder": target_length}
        for name, stack in stacks_of(architecture).items():
            multiply_adds += lengths[name] * stack.embed_dim  # embeddings, scaled
            multiply_adds += layers_multiply_adds(architecture, name, lengths[name])
        if len(stacks_of(architecture)) == len(STACKS):
            multiply_adds += _cross_attention_multiply_adds(architecture, source_length, target_length)
        return multiply_adds


def _encoder_shapes(architecture: Architecture, spec: ModelSpec) -> Shapes:
    encoder = architecture.encoder
    widths = [stack.embed_dim for stack in stacks_of(architecture).values()]
    width = max(widths) if spec.share_all_embeddings else encoder.embed_dim
    shapes: Shapes = {"encoder.embed_tokens.weight": (spec.source_vocabulary, width)}
    shapes |= encoder_layer_shapes(architecture)
    if spec.normalize_before:
        shapes |= norm_shapes("encoder.layer_norm", encoder.embed_dim)
    return shapes


def _decoder_shapes(architecture: Architecture, spec: ModelSpec) -> Shapes:
    decoder, shares_all = architecture.decoder, spec.share_all_embeddings
    shapes: Shapes = {}
    if architecture.encoder is None or not shares_all:
        shapes["decoder.embed_tokens.weight"] = (spec.target_vocabulary, decoder.embed_dim)
    for layer in range(decoder.layers):
        shapes |= self_attention_shapes("decoder", layer, architecture)
        if architecture.encoder is not None:
            shapes |= _cross_attention_shapes(layer, architecture)
        shapes |= ffn_shapes("decoder", layer, architecture)
    if spec.normalize_before:
        shapes |= norm_shapes("decoder.layer_norm", decoder.embed_dim)
    if not (shares_all or spec.share_decoder_input_output_embed):
        shapes["decoder.output_projection.weight"] = (spec.target_vocabulary, decoder.embed_dim)
    return shapes


def _cross_attention_shapes(layer: int, architecture: Architecture) -> Shapes:
    prefix, decoder = f"decoder.layers.{layer}", architecture.decoder
    own, memory = decoder.embed_dim, architecture.encoder.embed_dim
    qkv = architecture.attention_dim(decoder.cross_attention_heads[layer])
    return (
        linear_shapes(f"{prefix}.encoder_attn.q_proj", own, qkv)
        | linear_shapes(f"{prefix}.encoder_attn.kv_proj", memory, 2 * qkv)
        | linear_shapes(f"{prefix}.encoder_attn.out_proj", qkv, own)
        | norm_shapes(f"{prefix}.encoder_attn_layer_norm", own)
    )


def _cross_attention_multiply_adds(architecture: Architecture, source_length: int, target_length: int) -> int:
    decoder = architecture.decoder
    own, memory = decoder.embed_dim, architecture.encoder.embed_dim
    multiply_adds = 0
    for span, heads in zip(decoder.cross_attention_span, decoder.cross_attention_heads, strict=True):
        keys, qkv = span * source_length, architecture.attention_dim(heads)
        multiply_adds += target_length * 2 * own * qkv + keys * 2 * memory * qkv
        multiply_adds += attention_multiply_adds(target_length, keys, qkv)
        multiply_adds += target_length * own  # layer norm
    return multiply_adds
