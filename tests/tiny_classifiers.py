"""Tiny classifiers and batches for tests."""

import torch

from hat.architecture.space import EncoderSpace, SearchSpace
from hat.models.classifier_spec import ClassifierSpec

CLASSIFIER_SPACE = SearchSpace(
    head_dim=4,
    encoder=EncoderSpace(embed_dim=(24, 16), layers=(3, 2, 1), ffn_dim=(32, 20), self_attention_heads=(5, 3, 1)),
)
LABELS = ("bad", "fair", "good")
VOCABULARY, PADDING, FIRST, SEPARATOR = 40, 0, 2, 3
KINDS = {
    "like BERT": {"segments": 2, "normalize_embedding": True, "activation": "gelu", "layer_norm_epsilon": 1e-12},
    "like DistilBERT": {"normalize_embedding": True, "pooler_activation": "relu"},
    "sinusoidal": {"positions": "sinusoidal"},
    "pre-norm": {"normalize_before": True},
}


def classifier_spec(**options):
    """The ClassifierSpec of CLASSIFIER_SPACE's SuperClassifier, with `options` in place of the defaults."""
    return ClassifierSpec(
        **{
            "vocabulary": VOCABULARY,
            "labels": LABELS,
            "position_dim": 24,
            "positions": "learned",
            "max_positions": 16,
            "first": FIRST,
            "separator": SEPARATOR,
            "padding": PADDING,
            **options,
        }
    )


def shaken(model):
    """`model` in evaluation mode, every weight made to count: biases start at zero, norms at one."""
    torch.manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return model.eval()


def pairs_batch():
    """(tokens, segments), each (4, 12): pairs of texts of several lengths, padded on the right."""
    torch.manual_seed(2)
    tokens, segments = torch.full((4, 12), PADDING), torch.zeros(4, 12, dtype=torch.long)
    for row, (first, second) in enumerate([(4, 5), (1, 1), (6, 0), (2, 3)]):
        ends = [1 + first, 1 + first + 1 + second]
        tokens[row, : ends[1]] = torch.randint(4, VOCABULARY, (ends[1],))
        tokens[row, 0] = FIRST
        tokens[row, ends] = SEPARATOR
        segments[row, ends[0] + 1 : ends[1] + 1] = 1
    return tokens, segments
