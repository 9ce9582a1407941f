"""The benchmark of pruned graphs compares like with like: masked and compact networks give the same logits."""

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "benchmarks"))

import pruned_speed


@pytest.fixture
def tiny(monkeypatch):
    sizes = {"LAYERS": 2, "DIM": 64, "FFN_DIM": 128, "HEADS": 8, "VOCABULARY": 100, "BLOCK_ROWS": (64, 16)}
    for name, value in sizes.items():
        monkeypatch.setattr(pruned_speed, name, value)
    return pruned_speed.network()


def test_a_masked_network_gives_the_logits_of_the_compact_one(tiny):
    architecture, spec, weights = tiny
    prepared, ids = pruned_speed.variants(architecture, weights), [0, 50, 60, 70, 2]
    logits = {
        name: pruned_speed.classifier(architecture, spec, each, "fp32")(ids)[0] for name, each in prepared.items()
    }
    np.testing.assert_allclose(logits["2x_masked"], logits["2x"], atol=1e-5)
    assert np.abs(logits["2x"] - logits["dense"]).max() > 1e-3


@pytest.mark.parametrize("rate", pruned_speed.RATES)
@pytest.mark.parametrize("block_rows", [None, 64, 16])
def test_what_is_left_is_one_of_rate(tiny, rate, block_rows):
    architecture, _, weights = tiny
    left = pruned_speed.pruned(architecture, weights, rate, block_rows)
    sizes = [
        sum(np.count_nonzero(w) for name, w in each.items() if ".layers." in name and w.ndim == 2)
        for each in (left, weights)
    ]
    assert 0.7 / rate < sizes[0] / sizes[1] <= 1 / rate


def test_times_are_medians_of_calls_in_turns():
    called = []
    times = pruned_speed.in_turns({name: lambda name=name: called.append(name) for name in "ab"}, rounds=3)
    assert called == ["a", "a", "b", "b"] * 4
    assert times.keys() == {"a", "b"}
