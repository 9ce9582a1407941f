"""Scores of labels against scikit-learn and textbook figures."""

import pytest
from sklearn.metrics import accuracy_score, confusion_matrix

from hat.evaluation.classification.scores import compare_labels, score_labels

REFERENCES = ["a", "a", "b", "b", "b", "c", "c", "a"]
LABELS = ["a", "b", "b", "b", "c", "c", "c", "a"]


def test_scores():
    scores = score_labels(LABELS, REFERENCES)
    assert scores["accuracy"] == pytest.approx(100 * accuracy_score(REFERENCES, LABELS)) == 75
    assert scores["f1"] == pytest.approx(100 * (0.8 + 2 / 3 + 0.8) / 3)
    matrix = confusion_matrix(REFERENCES, LABELS).tolist()
    assert [[scores["confusion"][one].get(other, 0) for other in "abc"] for one in "abc"] == matrix
    assert scores["sentences"] == 8


def test_the_interval_is_wilson_s():
    """Brown, Cai and DasGupta's formula for 81 of 263, as tables give it: 0.2553 to 0.3662."""
    scores = score_labels(["x"] * 263, ["x"] * 81 + ["y"] * 182)
    assert scores["accuracy_ci95"] == pytest.approx([25.53, 36.62], abs=0.01)


def test_mcnemar_s_exact_test():
    """Of ten texts that one alone labels right, nine are the first one's: 2 * (1 + 10) / 2**10."""
    references = ["r"] * 30
    ours, theirs = ["r"] * 29 + ["w"], ["w"] * 9 + ["r"] * 21
    compared = compare_labels(ours, theirs, references)
    assert compared["p_value"] == pytest.approx(22 / 1024)
    assert (compared["accuracy"], compared["baseline_accuracy"]) == (pytest.approx(2900 / 30), 70)
    assert compare_labels(ours, ours, references)["p_value"] == 1.0
