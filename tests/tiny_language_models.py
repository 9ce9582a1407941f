"""Two tiny spaces of language models and their spec, for tests."""

from dataclasses import replace

import torch

from hat.architecture.space import DecoderSpace, SearchSpace
from hat.models.language_model import SuperLanguageModel
from hat.models.language_model_spec import LanguageModelSpec

LANGUAGE_SPACE = SearchSpace(
    decoder=DecoderSpace(
        embed_dim=(24, 16),
        layers=(3, 2, 1),
        ffn_dim=(32, 20),
        self_attention_heads=(3, 2, 1),
        head_dim=(8, 4),
        context=(7, 4, 1),
    )
)
BINS_SPACE = SearchSpace(decoder=replace(LANGUAGE_SPACE.decoder, bin_dims=((8, 5, 3), (4, 1))))  # for ADAPTIVE
WORDS = 50
ADAPTIVE = {"cutoffs": (12, 30), "bin_dims": (24, 8, 4)}


def language_spec(**options):
    """The LanguageModelSpec of LANGUAGE_SPACE's SuperTransformer, with `options` in place of the defaults."""
    return LanguageModelSpec(WORDS, full_embed_dim=24, **options)


def super_language_model(space=LANGUAGE_SPACE, **options):
    """Of `space`, in evaluation mode, all its weights drawn: biases and norms count."""
    torch.manual_seed(1)
    model = SuperLanguageModel(space, language_spec(**options)).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return model


def some_words(batch=3, time=17, seed=2):
    """int64 (batch, time)"""
    return torch.randint(WORDS, (batch, time), generator=torch.Generator().manual_seed(seed))
