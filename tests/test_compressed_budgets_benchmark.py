"""The benchmark of budgets by compression alone: its verdicts by hand."""

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "benchmarks"))  # its modules import each other by name

import compressed_budgets as benchmark

from latency_predictor.budget import parse_budget

DENSE_MS = np.array([8.0, 10.0, 10.0, 10.0, 20.0])


@pytest.mark.parametrize(
    ("budget", "calls_ms", "share", "within", "met"),
    [
        ("50%", [4.0, 4.0, 5.0, 6.0, 7.0], 0.5, 0.6, True),
        ("50%", [4.0, 4.0, 5.1, 6.0, 7.0], 0.51, 0.4, False),
        ("50%@p90", [4.0, 4.0, 5.1, 6.0, 7.0], 0.51, 1.0, True),  # nine of ten dense calls take 16 ms
        ("50%@p90", [4.0, 4.0, 5.1, 6.0, 9.0], 0.51, 0.8, False),
        ("5ms", [4.0, 5.0, 5.0, 6.0, 7.0], 0.5, 0.6, True),
    ],
)
def test_a_budget_is_met_if_its_share_of_the_calls_is_within_it(budget, calls_ms, share, within, met):
    row = benchmark._row("small", parse_budget(budget), np.array(calls_ms), DENSE_MS)
    assert (row["share"], row["within"]) == (pytest.approx(share), pytest.approx(within))
    assert row["met"] is met
    (line,) = benchmark._table([row])
    assert ("MISSED" in line) is not met
