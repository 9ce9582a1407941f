"""Sequences of running text: every word is predicted once, after the words before it."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from tiny_language_models import ADAPTIVE, WORDS, some_words, super_language_model

from hat.fairseq_plugin.language_model_data import IGNORED, TextSequences
from hat.fairseq_plugin.language_model_model import HatLanguageModel
from hat.fairseq_plugin.language_model_task import HatLanguageModelingCriterion
from hat.fairseq_plugin.language_model_teachers import WrittenTeachers
from hat.training.strategies.lesson import Lesson

STREAM = np.arange(5, 42).astype(np.uint8)
END = 0


def sequences(**options):
    prepared = SimpleNamespace(stream=lambda split: STREAM, end_of_line=END)
    return TextSequences(prepared, "train", 8, **options)


@pytest.mark.parametrize("options", [{"seed": 1}, {"seed": 1, "epoch": 4}, {}, {"seen": 3}, {"seen": 7}])
def test_every_word_is_predicted_once_after_the_one_before_it(options):
    epoch = options.pop("epoch", 1)
    dataset, predicted = sequences(**options), []
    dataset.set_epoch(epoch)
    for index in range(len(dataset)):
        number, read, target = dataset[index]
        assert number == index
        assert len(read) == len(target) == dataset.num_tokens(index) <= 8
        text = [END, *STREAM.tolist()]
        place = text.index(int(read[0]))
        assert read.tolist() == text[place : place + len(read)]
        counted = target.ne(IGNORED)
        assert (
            target[counted].tolist()
            == [*text[place + 1 : place + len(read)], STREAM[place + len(read) - 1]][len(read) - int(counted.sum()) :]
        )
        predicted += target[counted].tolist()
        if options.get("seen") and index:
            assert int((~counted).sum()) == min(options["seen"], STREAM.tolist().index(predicted[-int(counted.sum())]))
    assert predicted == STREAM.tolist()


def test_where_it_is_cut_and_the_order_are_drawn_by_seed_and_epoch():
    def drawn(seed, epoch):
        dataset = sequences(seed=seed)
        dataset.set_epoch(epoch)
        return [dataset[int(index)][1].tolist() for index in dataset.ordered_indices()]

    assert drawn(1, 2) == drawn(1, 2)
    assert drawn(1, 2) != drawn(1, 3)
    assert drawn(1, 2) != drawn(2, 2)


def test_a_batch_is_filled_up_with_what_does_not_count_and_a_lesson_takes_its_share():
    dataset = sequences()
    last = len(dataset) - 1
    sample = dataset.collater([dataset[0], dataset[last]])
    assert sample["target"][1].tolist() == [37 + 0, 38, 39, 40, 41] + [IGNORED] * 3
    assert sample["ntokens"] == 13
    part = Lesson(None, start=1, stride=2).sentences(sample, IGNORED)
    assert (part["ntokens"], part["net_input"]["words"].shape) == (5, (1, 8))


class Labels:
    """At each place of the text the word that stands there, and one that never does."""

    def __len__(self):
        return len(STREAM)

    def at(self, places):
        words = STREAM[places]
        return np.stack([words, np.zeros_like(words)], -1), np.full((*places.shape, 2), 0.5, np.float16)


@pytest.mark.parametrize("options", [{"seed": 1}, {"seed": 1, "epoch": 4}, {"seen": 3}])
def test_labels_follow_the_words_wherever_the_text_is_cut(options):
    epoch = options.pop("epoch", 1)
    dataset = sequences(**options)
    dataset.set_epoch(epoch)
    trainer = SimpleNamespace(
        get_num_updates=lambda: 3, cfg=SimpleNamespace(optimization=SimpleNamespace(max_update=7))
    )
    sample = dataset.collater([dataset[index] for index in range(len(dataset))])
    taught = WrittenTeachers(trainer, Labels(), 0.5, 0.1).added_to(sample)
    kept, (words, probabilities) = sample["target"].ne(IGNORED), taught["labels"]
    assert words.shape == probabilities.shape == (*kept.shape, 2)
    assert torch.equal(words[kept][:, 0], sample["target"][kept])
    assert taught["teacher_weight"] == pytest.approx(0.3)  # half way


def test_the_loss_is_the_negative_log_likelihood_of_what_counts():
    model, words, target = super_language_model(**ADAPTIVE), some_words(), some_words(seed=3)
    target[0, :5] = IGNORED
    kept = target.ne(IGNORED)
    sample = {"net_input": {"words": words}, "target": target, "ntokens": int(kept.sum()), "nsentences": 3}
    with torch.no_grad():
        loss, size, logged = HatLanguageModelingCriterion(None)(HatLanguageModel(model), sample)
        chosen = model.output.log_probabilities(model(words)[0]).gather(2, target.clamp(min=0)[..., None])[..., 0]
    assert size == kept.sum() < 3 * 17 <= WORDS * 2
    torch.testing.assert_close(loss, -chosen[kept].sum(), atol=1e-3, rtol=0)
    assert logged["nll_loss"] == loss
