"""Architectures as the HAT authors write them in Python, in logs and in the parity data."""

from hat.architecture.hat_format import span_from_hat
from hat.architecture.stacks import Architecture, DecoderArchitecture, EncoderArchitecture


def architecture_from_hat_gene(gene, qkv_dim):
    """From HAT's nested dictionary {'encoder': {'encoder_embed_dim': ...}, 'decoder': {...}}."""
    encoder, decoder = gene["encoder"], gene["decoder"]
    depth, decoder_depth = encoder["encoder_layer_num"], decoder["decoder_layer_num"]
    return Architecture(
        qkv_dim,
        EncoderArchitecture(
            encoder["encoder_embed_dim"],
            tuple(encoder["encoder_ffn_embed_dim"][:depth]),
            tuple(encoder["encoder_self_attention_heads"][:depth]),
        ),
        DecoderArchitecture(
            decoder["decoder_embed_dim"],
            tuple(decoder["decoder_ffn_embed_dim"][:decoder_depth]),
            tuple(decoder["decoder_self_attention_heads"][:decoder_depth]),
            tuple(decoder["decoder_ende_attention_heads"][:decoder_depth]),
            tuple(span_from_hat(span) for span in decoder["decoder_arbitrary_ende_attn"][:decoder_depth]),
        ),
    )
