"""Perplexity of running text, and whether two models differ, from the loss of each line."""

import math
from collections.abc import Sequence
from typing import Any

LineLoss = tuple[float, int]  # (negative log-likelihood in nats, words it is summed over, the line's end among them)


def score_lines(losses: Sequence[LineLoss]) -> dict[str, Any]:
    """{"perplexity", "perplexity_ci95", "nats_per_word", "words", "sentences"} of the lines of a text.

    The interval is that of a ratio of sums over lines (their losses and their words), by its standard error.
    """
    words = sum(count for _, count in losses)
    mean = sum(nats for nats, _ in losses) / words
    squares = sum((nats - mean * count) ** 2 for nats, count in losses)
    error = math.sqrt(squares * len(losses) / max(1, len(losses) - 1)) / words
    return {
        "perplexity": math.exp(mean),
        "perplexity_ci95": [math.exp(mean - 1.96 * error), math.exp(mean + 1.96 * error)],
        "nats_per_word": mean,
        "words": words,
        "sentences": len(losses),
    }


def compare_lines(losses: Sequence[LineLoss], baseline: Sequence[LineLoss]) -> dict[str, float]:
    """{"perplexity", "baseline_perplexity", "p_value"}: whether the two differ by more than chance.

    Student's paired t-test of the lines' losses.
    """
    from scipy.stats import ttest_rel

    ours, theirs = ([nats for nats, _ in each] for each in (losses, baseline))
    p_value = 1.0 if ours == theirs else float(ttest_rel(ours, theirs).pvalue)
    perplexities = (score_lines(each)["perplexity"] for each in (losses, baseline))
    return dict(zip(("perplexity", "baseline_perplexity"), perplexities, strict=True)) | {"p_value": p_value}
