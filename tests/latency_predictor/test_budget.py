"""Latency budgets as users write them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hat.errors import UsageError
from search.budget import parse_budget


@pytest.mark.parametrize(
    ("text", "milliseconds"),
    [("200ms", 200), ("0.2s", 200), ("900us", 0.9), (" 1.5 S ", 1500), (".5ms", 0.5), ("250µs", 0.25), ("3.s", 3000)],
)
def test_units(text, milliseconds):
    assert parse_budget(text).resolve(full_ms=1.0) == pytest.approx(milliseconds)


def test_share_of_the_full_size_transformer():
    budget = parse_budget("33 %")
    assert budget.resolve(full_ms=300.0) == pytest.approx(99.0)
    assert budget.slug() == "33pct"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("200", "has no unit"),
        ("0.2", "has no unit"),
        ("-200ms", "is negative"),
        ("-5%", "is negative"),
        ("0ms", "not above zero"),
        ("0%", "not above zero"),
        ("-3", "not a positive number"),
        ("fast", "not a number"),
        ("", "not a number"),
        ("ms", "not a number"),
        ("nan ms", "not a number"),
        ("infms", "not a number"),
        ("2 min", "not a number"),
        ("1e3ms", "not a number"),
        ("1,5ms", "not a number"),
        ("9" * 400 + "ms", "finite"),
    ],
)
def test_nonsense_is_refused_with_its_text_and_an_example(text, reason):
    with pytest.raises(UsageError) as error:
        parse_budget(text)
    assert reason in str(error.value)
    assert repr(text) in str(error.value)
    assert "200ms" in str(error.value)


@given(st.text())
def test_any_text_is_a_positive_budget_or_a_usage_error(text):
    try:
        budget = parse_budget(text)
    except UsageError:
        return
    assert 0 < budget.resolve(full_ms=7.0) < float("inf")


@given(st.integers(1, 10**9), st.sampled_from([("s", 1000), ("ms", 1), ("us", 0.001), ("%", 0.4)]))
def test_value_times_unit(number, unit):
    name, factor = unit
    budget = parse_budget(f"{number}{name}")
    assert budget.resolve(full_ms=40.0) == pytest.approx(number * factor)
    assert set(budget.slug()) <= set("0123456789spctmu")
