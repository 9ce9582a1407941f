"""A tiny search space and model for tests."""

from hat.architecture.space import DecoderSpace, EncoderSpace, SearchSpace
from hat.models.translation_spec import ModelSpec

TINY_SPACE = SearchSpace(
    qkv_dim=16,
    encoder=EncoderSpace(embed_dim=(24, 16), layers=(3, 2, 1), ffn_dim=(32, 20), self_attention_heads=(4, 2)),
    decoder=DecoderSpace(
        embed_dim=(24, 12),
        layers=(2, 1),
        ffn_dim=(32, 20),
        self_attention_heads=(4, 2),
        cross_attention_heads=(4, 2),
        cross_attention_span=(1, 2, 3),
    ),
)
ENCODER_SPACE = SearchSpace(16, encoder=TINY_SPACE.encoder)
DECODER_SPACE = SearchSpace(16, decoder=DecoderSpace((24, 12), (3, 2, 1), (32, 20), (4, 2)))  # attends to itself only
HEAD_DIM_SPACE = SearchSpace(  # heads of a fixed width: fewer of them are fewer weights
    head_dim=4,
    encoder=EncoderSpace(embed_dim=(24, 16), layers=(3, 2, 1), ffn_dim=(32, 20), self_attention_heads=(5, 3, 2)),
    decoder=DecoderSpace((24, 12), (2, 1), (32, 20), (5, 3, 2), (3, 1), (1, 2)),
)
VOCABULARY = 30


def tiny_spec(**options):
    """The ModelSpec of TINY_SPACE's SuperTransformer, with `options` in place of the defaults."""
    return ModelSpec(VOCABULARY, VOCABULARY, encoder_position_dim=24, decoder_position_dim=24, **options)
