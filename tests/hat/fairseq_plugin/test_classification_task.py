"""Labelled texts as batches, and the loss of a classifier, against torch and by hand."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from hat.fairseq_plugin.classification_criterion import HatClassificationCriterion, hidden_loss
from hat.fairseq_plugin.classification_data import LabelledTexts, load_labelled_batches, segments_of
from hat.training.strategies.lesson import Lesson

SEPARATOR, PADDING = 2, 1
TEXTS = [[0, 5, 2, 6, 2], [0, 7, 2], [0, 5, 6, 7, 2], [0, 8, 2, 9, 9, 2]]


class Ids(list):
    sizes = np.array([len(text) for text in TEXTS])


def prepared(segments=2):
    return SimpleNamespace(
        token_ids=lambda split: Ids(TEXTS),
        label_ids=lambda split: np.array([0, 2, 1, 0]),
        padding=PADDING,
        separator=SEPARATOR,
        segments=segments,
    )


def test_a_batch_is_padded_on_the_right_and_knows_its_segments():
    dataset = LabelledTexts(prepared(), "train")
    sample = dataset.collater([dataset[1], dataset[0]])
    assert sample["net_input"]["tokens"].tolist() == [[0, 7, 2, 1, 1], TEXTS[0]]
    assert sample["net_input"]["segments"][1].tolist() == [0, 0, 0, 1, 1]
    assert sample["target"].tolist() == [2, 0]
    assert (sample["nsentences"], sample["ntokens"]) == (2, 8)
    assert "segments" not in LabelledTexts(prepared(segments=1), "train").collater([dataset[0]])["net_input"]


def test_the_first_segment_ends_with_the_first_separator():
    tokens = torch.tensor([[0, 5, 2, 2, 6, 2], [0, 5, 6, 7, 2, 1]])
    assert segments_of(tokens, SEPARATOR).tolist() == [[0, 0, 0, 1, 1, 1], [0, 0, 0, 0, 0, 1]]


def test_batches_hold_every_text_once_within_the_limit():
    batches = load_labelled_batches(prepared(), "valid", max_tokens=10)
    assert sorted(index for batch in batches for index in batch.ids.tolist()) == [0, 1, 2, 3]
    assert all(batch.tokens.numel() <= 10 for batch in batches)
    some = load_labelled_batches(prepared(), "valid", 10, lines=[3, 1])
    assert sorted(index for batch in some for index in batch.ids.tolist()) == [1, 3]


def test_a_lesson_takes_its_share_of_the_texts():
    dataset = LabelledTexts(prepared(), "train")
    sample = dataset.collater([dataset[index] for index in range(4)])
    part = Lesson(None, start=1, stride=2).sentences(sample, -1)
    assert part["target"].tolist() == [2, 0]
    assert part["ntokens"] == 2  # labels that count
    assert part["net_input"]["tokens"].tolist() == sample["net_input"]["tokens"][1::2].tolist()


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_the_loss_is_torch_s_summed_over_texts(smoothing):
    logits, target = torch.randn(4, 3, generator=torch.Generator().manual_seed(1)), torch.tensor([0, 2, 1, 0])
    criterion = HatClassificationCriterion(None, smoothing)
    loss, size, logged = criterion(lambda tokens: logits, {"net_input": {"tokens": None}, "target": target})
    assert size == 4
    assert loss == pytest.approx(4 * float(F.cross_entropy(logits, target, label_smoothing=smoothing)), rel=1e-6)
    assert logged["nll_loss"] == pytest.approx(4 * float(F.cross_entropy(logits, target)), rel=1e-6)
    assert logged["correct"] == (logits.argmax(-1) == target).sum()


def test_teachers_take_their_share_of_the_target():
    generator = torch.Generator().manual_seed(2)
    logits, first, second = (torch.randn(4, 3, generator=generator) for _ in range(3))
    target = torch.tensor([0, 2, 1, 0])
    sample = {"net_input": {"tokens": None}, "target": target, "teachers": [first, second], "teacher_weight": 0.3}
    loss, *_ = HatClassificationCriterion(None, 0.0)(lambda tokens: logits, sample)
    mixed = 0.7 * F.one_hot(target, 3) + 0.3 * (first.softmax(-1) + second.softmax(-1)) / 2
    assert loss == pytest.approx(-float((mixed * logits.log_softmax(-1)).sum()), rel=1e-5)


def test_hidden_states_are_held_against_those_at_the_same_share_of_the_depth():
    generator = torch.Generator().manual_seed(3)
    taught = [torch.randn(2, 3, 6, generator=generator) for _ in range(5)]  # of four layers and the embedding
    states = [torch.randn(2, 3, 4, generator=generator) for _ in range(3)]  # of two
    present = torch.tensor([[True, True, True], [True, False, False]])
    expected = 0.0
    for state, aim in zip(states, (taught[0], taught[2], taught[4]), strict=True):
        expected += ((state[0] - aim[0, :, :4]) ** 2).mean() + ((state[1, 0] - aim[1, 0, :4]) ** 2).mean()
    assert float(hidden_loss(states, taught, present)) == pytest.approx(float(expected) / 3, rel=1e-5)
