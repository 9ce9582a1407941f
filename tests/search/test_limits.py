"""Several limits at once: how they are written, what they let in, and what is said where nothing meets them."""

import dataclasses
import json

import pytest
from search_toys import SPACE, everything, in_turns, latency, loss, predict, size_bytes, timed

from hat.architecture.complexity import count_parameters
from hat.errors import BudgetError, UsageError
from latency_predictor.budget import parse_budget
from search.aim import HEADROOM
from search.instruments import Instruments
from search.limits import Limits, count_text, parse_limits, size_text
from search.run import name_budgets, search_with

INPUTS = {"super": "weights 1", "predictor": "first"}


def parameters(run, architecture):
    return count_parameters(architecture, run.config.model_spec(100, 100))[0]


def find(run, latency_budget, limits):
    """(choice.json, architectures scored) of one search."""
    scored = []

    def scores(architectures, _part):
        for architecture in architectures:
            scored.append(architecture)
            yield loss(architecture), 1

    spec = run.config.model_spec(100, 100)
    instruments = Instruments(predict, in_turns(lambda a: timed(latency(a))), scores, size_bytes, spec, (12, 11))
    named = name_budgets("cpu", [parse_budget(latency_budget)], limits=limits)
    (name,) = search_with(run, "cpu", named, INPUTS, lambda: instruments, limits)
    return json.loads((run.search(name) / "choice.json").read_text()), scored


@pytest.mark.parametrize(
    ("text", "count"), [("5M", 5_000_000), ("500k", 500_000), ("5000000", 5_000_000), ("0.5 m", 500_000)]
)
def test_parameters_are_written_short_or_in_full(text, count):
    assert parse_limits(max_parameters=text) == Limits(parameters=count)


@pytest.mark.parametrize(
    ("text", "size"), [("6MB", 6_000_000), ("900kB", 900_000), ("123456", 123_456), ("1.5gb", 1.5e9)]
)
def test_sizes_are_written_short_or_in_bytes(text, size):
    assert parse_limits(max_size=text) == Limits(size_bytes=size)


@pytest.mark.parametrize("text", ["", "M", "-5M", "0", "5MB", "five", "nan", "1e400"])
def test_wrong_numbers_of_parameters_are_named(text):
    with pytest.raises(UsageError, match=r"--max-parameters .* write for example 5M"):
        parse_limits(max_parameters=text)


@pytest.mark.parametrize("text", ["6M", "0MB", "-1", "6 megs", "0.1B"])
def test_wrong_sizes_are_named(text):
    with pytest.raises(UsageError, match=r"--max-size .* write for example 6MB"):
        parse_limits(max_size=text)


@pytest.mark.parametrize("value", [1, 999, 1000, 123_456, 5_000_000, 7_654_321])
def test_what_is_written_reads_back(value):
    assert parse_limits(count_text(value), size_text(value)) == Limits(value, value)


def test_names_tell_other_limits_apart_and_not_other_spellings():
    budget = [parse_budget("9ms")]
    spellings = [
        parse_limits("5M", "6MB"),
        parse_limits("5000000", "6000kB"),
        parse_limits("6M"),
        parse_limits(None, "6MB"),
    ]
    names = [next(iter(name_budgets("cpu", budget, limits=limits))) for limits in spellings]
    assert names == ["cpu-9ms-5M-6MB", "cpu-9ms-5M-6MB", "cpu-9ms-6M", "cpu-9ms-6MB"]


def test_the_winner_is_the_best_within_all_limits(run):
    slow_and_large, _ = find(run, "13ms", Limits())
    most_parameters = int(0.8 * slow_and_large["parameters"])
    limits = Limits(most_parameters, 150_000)
    choice, scored = find(run, "13ms", limits)
    within = [
        architecture
        for architecture in everything()
        if latency(architecture) <= 13
        and parameters(run, architecture) <= most_parameters
        and size_bytes(architecture) <= 150_000
    ]
    assert set(scored) <= set(within)
    assert choice["parameters"] <= most_parameters < slow_and_large["parameters"]
    assert choice["size_bytes"] <= 150_000
    best = min(map(loss, within))
    assert choice["valid_nats"] <= best + 0.05 * abs(best)
    assert choice["limits"] == dataclasses.asdict(limits)


def test_a_search_writes_its_own_candidates_only(run):
    _, scored = find(run, "13ms", Limits())
    choice, more = find(run, "9ms", Limits(parameters=10**6))
    own = json.loads((run.search(choice["name"]) / "candidates.json").read_text())
    assert max(row["predicted_ms"] for row in own) <= 9
    assert len(own) < len(scored) + len(more)


@pytest.mark.parametrize("limits", [Limits(parameters=9000), Limits(size_bytes=60_000)])
def test_a_limit_below_the_smallest_is_named_with_what_is_possible(run, limits):
    smallest = SPACE.smallest()
    with pytest.raises(BudgetError) as error:
        find(run, "9ms", limits)
    option, least = (
        ("--max-parameters", parameters(run, smallest)) if limits.parameters else ("--max-size", size_bytes(smallest))
    )
    assert str(error.value).startswith(option)
    enough = str(error.value).rpartition(f"raise {option} to ")[2].split()[0]
    option = option.removeprefix("--").replace("-", "_")
    met = parse_limits(**{option: enough})
    assert least <= (met.parameters or met.size_bytes) < 1.01 * least
    find(run, "9ms", met)  # the remedy works


def test_limits_that_each_can_be_met_but_not_together(run, monkeypatch):
    """Small ones are slow here."""

    def odd(architecture):
        return 30 - latency_of_toys(architecture)

    latency_of_toys = latency
    monkeypatch.setitem(globals(), "latency", odd)
    monkeypatch.setitem(globals(), "predict", lambda architectures: list(map(odd, architectures)))
    fastest_ms, slowest_ms = min(map(odd, everything())), max(map(odd, everything()))
    limits = Limits(size_bytes=size_bytes(SPACE.smallest()))
    find(run, f"{slowest_ms + 1:.2f}ms", limits)
    with pytest.raises(BudgetError, match="can each be met, but not together") as error:
        find(run, f"{fastest_ms / HEADROOM + 0.1:.2f}ms", limits)
    assert f"--latency {fastest_ms / HEADROOM + 0.1:.2f}ms and --max-size {size_text(limits.size_bytes)}" in str(
        error.value
    )
