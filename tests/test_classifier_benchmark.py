"""The benchmark of the classifier compares like with like: its peer and HAT give the same logits."""

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "benchmarks"))  # its modules import each other by name

import classifier_speed


def test_both_give_the_same_logits(tmp_path, monkeypatch):
    if importlib.util.find_spec("transformers") is None:
        pytest.skip("transformers is not installed; the benchmark alone needs it")
    monkeypatch.setitem(classifier_speed.SIZES, "tiny", (2, 64, 128, 4, 1200))
    benchmark = classifier_speed.Benchmark("tiny", tmp_path)
    logits = {
        name: np.concatenate([classify(ids) for ids in benchmark.texts(10)])
        for name, classify in benchmark.contestants.items()
    }
    assert np.ptp(logits["peer fp32"], axis=0).min() > 0.05  # texts differ
    np.testing.assert_allclose(logits["HAT fp32"], logits["peer fp32"], atol=1e-4)
    np.testing.assert_allclose(logits["HAT int8"], logits["peer fp32"], atol=0.5)
    times = benchmark.run(count=2, rounds=2)
    assert {name: found.shape for name, found in times.items()} == dict.fromkeys(benchmark.contestants, (2,))


def test_ratios_are_ours_over_theirs():
    times = {"peer fp32": [4, 8], "HAT fp32": [3, 3], "peer int8": [2, 2], "HAT int8": [1, 2]}
    found = classifier_speed.ratios({"base": {name: np.array(each) for name, each in times.items()}})
    assert found == {"base_fp32": 0.5, "base_int8": 0.75}
