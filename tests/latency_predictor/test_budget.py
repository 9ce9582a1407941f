"""Latency budgets as users write them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hat.errors import UsageError
from latency_predictor.budget import parse_budget


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


def test_budgets_are_about_the_median_sentence_unless_they_name_a_quantile():
    assert parse_budget("200ms").quantile == parse_budget("50%").quantile == 0.5
    ninth = parse_budget(" 200 ms @P90 ")
    assert (ninth.quantile, ninth.text, ninth.slug()) == (0.9, "200ms@p90", "200ms-p90")
    assert ninth.resolve(full_ms=1.0) == 200
    share = parse_budget("50%@p90")
    assert (share.quantile, share.resolve(full_ms=300.0), share.slug()) == (0.9, 150, "50pct-p90")


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
        ("200ms@p0", "@p0 is not one of @p1 to @p99"),
        ("200ms@p00", "@p0 is not one of @p1 to @p99"),
        ("200ms@p100", "'@p100'"),
        ("200ms@90", "'@90'"),
        ("200ms@p", "'@p'"),
        ("200ms@", "'@'"),
        ("200ms@p-5", "'@p-5'"),
        ("200ms@p9.5", "'@p9.5'"),
        ("200ms@p90@p90", "'@p90@p90'"),
        ("200ms@mean", "'@mean'"),
        ("200ms@\x1b[2J\npwned", "@\\x1b[2jpwned"),
        ("@p90", "not a number"),
        ("200@p90", "has no unit"),
        ("0ms@p90", "not above zero"),
    ],
)
def test_nonsense_is_refused_with_its_text_and_an_example(text, reason):
    with pytest.raises(UsageError) as error:
        parse_budget(text)
    assert reason in str(error.value)
    assert repr(text) in str(error.value)
    assert "write for example 200ms" in str(error.value)
    assert str(error.value).isprintable()  # one line, whatever the text holds


@given(st.one_of(st.text(), st.text().map(lambda text: f"200ms@{text}"), st.text("0123456789.mus%@p -")))
def test_any_text_is_a_positive_budget_or_a_usage_error_of_one_line(text):
    try:
        budget = parse_budget(text)
    except UsageError as error:
        message = str(error)
    else:
        message = ""
        assert 0 < budget.resolve(full_ms=7.0) < float("inf")
        assert 0 < budget.quantile < 1
    assert message.isprintable()


@given(st.integers(1, 99), st.sampled_from(["200ms", "0.2s", "50%"]))
def test_any_percentile_is_its_hundredth(percentile, amount):
    budget, plain = parse_budget(f"{amount}@p{percentile}"), parse_budget(amount)
    assert budget.quantile == percentile / 100
    assert budget.resolve(full_ms=40.0) == plain.resolve(full_ms=40.0)
    assert budget.slug() == f"{plain.slug()}-p{percentile}"
    assert parse_budget(budget.text) == budget


@given(st.integers(1, 10**9), st.sampled_from([("s", 1000), ("ms", 1), ("us", 0.001), ("%", 0.4)]))
def test_value_times_unit(number, unit):
    name, factor = unit
    budget = parse_budget(f"{number}{name}")
    assert budget.resolve(full_ms=40.0) == pytest.approx(number * factor)
    assert set(budget.slug()) <= set("0123456789spctmu")
