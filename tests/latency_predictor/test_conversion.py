"""From what the ruler says to what calls take."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from latency_predictor.fitting.conversion import fit_conversion


@given(
    overhead=st.floats(0.01, 5),
    factor=st.floats(0.5, 2),
    predicted=st.lists(st.floats(1, 100), min_size=2, max_size=20),
)
def test_a_line_without_noise_is_found(overhead, factor, predicted):
    predicted = np.array([*predicted, 1.0, 100.0])
    found = fit_conversion(predicted, overhead + factor * predicted)
    assert found.latency_ms(predicted) == pytest.approx(overhead + factor * predicted, rel=1e-6)
    assert found.spread < 1e-6
    assert found.count == len(predicted)


def test_noise_is_averaged_and_told():
    rng = np.random.default_rng(1)
    predicted = rng.uniform(2, 20, 200)
    found = fit_conversion(predicted, (0.5 + 1.1 * predicted) * rng.normal(1, 0.02, 200))
    assert found.overhead_ms == pytest.approx(0.5, abs=0.1)
    assert found.factor == pytest.approx(1.1, rel=0.01)
    assert found.spread == pytest.approx(0.02 * np.sqrt(2 / np.pi), rel=0.2)


@pytest.mark.parametrize("measured", [[5.1, 5.3], [1.0, 1.0]])
def test_architectures_that_are_much_alike_have_no_overhead(measured):
    found = fit_conversion([5.0, 5.2], measured)
    assert found.overhead_ms == 0
    assert found.factor == pytest.approx(np.median(np.divide(measured, [5.0, 5.2])))


def test_neither_overhead_nor_factor_is_negative():
    for measured in ([3.0, 1.0], [0.5, 12.0]):
        found = fit_conversion([2.0, 10.0], measured)
        assert found.overhead_ms >= 0
        assert found.factor > 0
