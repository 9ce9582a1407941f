"""Perplexity of running text against a word at a time, and what is said of it."""

import math

import numpy as np
import pytest
import torch
from tiny_language_models import ADAPTIVE, LANGUAGE_SPACE, language_spec, some_words, super_language_model

from hat.evaluation.language_modeling import judge
from hat.evaluation.language_modeling.scores import compare_lines, score_lines
from hat.models.language_model import LanguageModel


def test_losses_are_those_of_a_word_at_a_time_however_the_text_is_parted(monkeypatch):
    model = super_language_model(**ADAPTIVE).extract(LANGUAGE_SPACE.largest())
    words, memory, expected, before = some_words(1, 23)[0], None, [], model.spec.end_of_line
    with torch.no_grad():
        for word in words.tolist():
            features, memory = model(torch.tensor([[before]]), memory)
            expected.append(-float(model.output.log_probabilities(features)[0, 0, word]))
            before = word
    for size in (1024, 5, 1):
        monkeypatch.setattr(judge, "WORDS_AT_A_TIME", size)
        np.testing.assert_allclose(judge.word_losses(model, words), expected, atol=1e-5)


def test_a_model_that_knows_nothing_has_the_perplexity_of_its_vocabulary():
    model = LanguageModel(LANGUAGE_SPACE.smallest(), language_spec()).eval()
    torch.nn.init.zeros_(model.embedding.tables[0].weight)
    losses = judge.word_losses(model, some_words(1, 9)[0])
    assert score_lines([(float(losses.sum()), 9)])["perplexity"] == pytest.approx(50, rel=1e-5)


def test_scores_are_ratios_of_sums_with_their_interval():
    rng = np.random.default_rng(0)
    words = rng.integers(1, 30, 400)
    losses = [(float(count * nats), int(count)) for count, nats in zip(words, rng.normal(2, 0.3, 400), strict=True)]
    found = score_lines(losses)
    assert found["nats_per_word"] == pytest.approx(sum(nats for nats, _ in losses) / words.sum())
    assert found["perplexity"] == pytest.approx(math.exp(found["nats_per_word"]))
    drawn = [rng.integers(0, 400, 400) for _ in range(2000)]
    means = [sum(losses[i][0] for i in draw) / words[draw].sum() for draw in drawn]
    low, high = np.exp(np.quantile(means, [0.025, 0.975]))
    assert found["perplexity_ci95"] == pytest.approx([low, high], rel=0.01)


def test_two_models_are_told_apart_line_by_line():
    rng = np.random.default_rng(1)
    base = [(float(nats), 10) for nats in rng.normal(20, 5, 200)]
    better = [
        (nats - 0.3 + float(noise), words) for (nats, words), noise in zip(base, rng.normal(0, 1, 200), strict=True)
    ]
    assert compare_lines(better, base)["p_value"] < 0.01
    assert compare_lines(better, base)["perplexity"] < compare_lines(better, base)["baseline_perplexity"]
    assert compare_lines(base, base)["p_value"] == 1
