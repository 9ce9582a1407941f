"""The loss by which the search ranks language models, against that of each word in the whole text."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from tiny_language_models import ADAPTIVE, LANGUAGE_SPACE, super_language_model

from hat.evaluation.inherited_loss import InheritedWordLoss
from hat.evaluation.language_modeling.judge import word_losses
from hat.fairseq_plugin.language_model_data import load_line_batches

LINES = [[5, 6, 7], [8], [9, 10, 40, 41], [11, 12], [31, 3]]
STREAM = np.array([word for line in LINES for word in [*line, 0]], np.uint8)
PREPARED = SimpleNamespace(stream=lambda split: STREAM, end_of_line=0, sentences={"valid": len(LINES)})
PARTS = [np.array([3, 0]), np.array([4, 2, 1]), np.array([], int)]


@pytest.mark.parametrize("options", [{}, ADAPTIVE])
@pytest.mark.parametrize("max_tokens", [1, 100])
def test_sums_are_those_of_the_words_of_the_drawn_lines_after_all_before_them(options, max_tokens):
    supernet, architecture = super_language_model(**options), LANGUAGE_SPACE.sample(np.random.default_rng(3))
    losses = word_losses(supernet.extract(architecture).eval(), torch.from_numpy(STREAM.astype(np.int64)))
    by_line = losses.split([len(line) + 1 for line in LINES])
    batches = [load_line_batches(PREPARED, "valid", max_tokens, part, seen=len(STREAM)) for part in PARTS]
    loss = InheritedWordLoss(supernet, batches)
    for scorer in (loss, loss.twin()):
        for number, part in enumerate(PARTS):
            nats, words = scorer(architecture, number)
            assert words == sum(len(by_line[line]) for line in part)
            assert nats == pytest.approx(sum(float(by_line[line].sum()) for line in part), abs=1e-3)


def test_a_layer_needs_to_see_no_more_than_its_context():
    supernet = super_language_model()
    architecture = next(
        each
        for each in (LANGUAGE_SPACE.sample(np.random.default_rng(seed)) for seed in range(100))
        if each.decoder.layers == 1
    )
    seen = LANGUAGE_SPACE.decoder.context[-1] - 1
    sums = [
        InheritedWordLoss(supernet, [load_line_batches(PREPARED, "valid", 100, PARTS[1], before)])(architecture, 0)
        for before in (seen, len(STREAM))
    ]
    assert sums[0] == pytest.approx(sums[1], rel=1e-5)
