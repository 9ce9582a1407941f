"""How good a classifier's labels are (accuracy, macro F1, Matthews correlation), and whether two classifiers differ."""

from collections.abc import Sequence
from typing import Any


def score_labels(labels: Sequence[str], references: Sequence[str]) -> dict[str, Any]:
    """{"accuracy", "accuracy_ci95", "f1", "matthews", "sentences", "confusion"} of label names.

    Accuracy, its 95 % interval (Wilson, 1927) and macro F1 are 0 to 100, Matthews' correlation -1 to 1. `confusion` is
    {reference: {label: count}}.
    """
    from scipy.stats import binomtest
    from sklearn.metrics import f1_score, matthews_corrcoef

    right = sum(label == reference for label, reference in zip(labels, references, strict=True))
    interval = binomtest(right, len(references)).proportion_ci(0.95, "wilson")
    confusion: dict[str, dict[str, int]] = {}
    for label, reference in zip(labels, references, strict=True):
        row = confusion.setdefault(reference, {})
        row[label] = row.get(label, 0) + 1
    return {
        "accuracy": 100 * right / len(references),
        "accuracy_ci95": [100 * interval.low, 100 * interval.high],
        "f1": 100 * float(f1_score(references, labels, average="macro")),
        "matthews": float(matthews_corrcoef(references, labels)),
        "sentences": len(references),
        "confusion": confusion,
    }


def compare_labels(labels: Sequence[str], baseline: Sequence[str], references: Sequence[str]) -> dict[str, float]:
    """{"accuracy", "baseline_accuracy", "p_value"}: whether the two differ by more than chance.

    The exact McNemar test: of the texts that just one of them labels right, half would be each one's.
    """
    from scipy.stats import binomtest

    pairs = [
        (label == reference, other == reference)
        for label, other, reference in zip(labels, baseline, references, strict=True)
    ]
    gained, lost = (sum(pair == wanted for pair in pairs) for wanted in ((True, False), (False, True)))
    return {
        "accuracy": 100 * sum(ours for ours, _ in pairs) / len(pairs),
        "baseline_accuracy": 100 * sum(theirs for _, theirs in pairs) / len(pairs),
        "p_value": float(binomtest(gained, gained + lost).pvalue) if gained + lost else 1.0,
    }
