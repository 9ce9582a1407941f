"""Precision as a choice of the search: two toy devices, of which int8 is faster, or of the same pace."""

import json

import pytest
from search_toys import Device, in_turns, latency, loss, timed

from hat.architecture.file import load_architecture
from hat.errors import BudgetError, UsageError
from hat.training.sub import choose_architecture
from latency_predictor.budget import parse_budget
from latency_predictor.link.devices import load_device
from search.limits import NO_LIMITS
from search.precisions import comparable_losses, search_precisions
from search.run import PLAIN, name_budgets, search_with


@pytest.fixture
def searching(run, monkeypatch):
    """`search_precisions` of some budgets, with latencies that are shares of the toy's; also the devices it used."""

    def find(*budgets, fp32=1.0, int8=1.0, name=None):
        shares, devices = {"fp32": fp32, "int8": int8}, {}

        def search(run, device_name, budgets, name, limits, options):
            device = load_device(device_name)
            share = shares[device.precision]
            devices[device.name] = Device(
                run,
                precision=device.precision,
                predict=lambda architectures: [share * latency(each) for each in architectures],
                measure=in_turns(lambda architecture: timed(share * latency(architecture))),
            )
            named = name_budgets(device.name, budgets, name, limits)
            inputs = {"super": "weights", "predictor": device.precision}
            return search_with(run, device.name, named, inputs, lambda: devices[device.name].instruments, limits)

        monkeypatch.setattr("search.precisions.search", search)
        budgets = [parse_budget(budget) for budget in budgets]
        return search_precisions(run, "cpu", budgets, name, NO_LIMITS, PLAIN), devices

    return find


def chosen(run, name):
    return json.loads((run.search(name) / "choice.json").read_text())


@pytest.mark.parametrize(("fp32", "int8", "precision"), [(1.0, 0.7, "int8"), (0.7, 1.0, "fp32"), (1.0, 1.0, "int8")])
def test_the_winner_is_the_better_one_of_both_precisions(run, searching, fp32, int8, precision):
    (name,), devices = searching("9ms", fp32=fp32, int8=int8)
    choice = chosen(run, name)
    assert (name, choice["name"], choice["precision"]) == ("cpu.any-9ms", "cpu.any-9ms", precision)
    own = [chosen(run, search) for search in ("cpu-9ms", "cpu.int8-9ms")]
    assert choice["valid_nats"] == min(each["valid_nats"] for each in own)
    assert choose_architecture(run, name) == (name, load_architecture(run.search(name) / "architecture.yaml"))
    assert loss(choose_architecture(run, name)[1]) == choice["valid_nats"]
    first, second = (set(devices[each].scored) for each in ("cpu.int8", "cpu"))
    assert first
    assert not first & second  # losses are shared


def test_a_budget_that_one_precision_meets_is_the_others_to_lose(run, searching, capsys):
    (name,), _ = searching("3ms", int8=0.5, name="phone")
    assert (name, chosen(run, name)["precision"]) == ("phone", "int8")
    assert "fp32: latency budget 3ms is below the fastest" in capsys.readouterr().out
    with pytest.raises(BudgetError, match=r"cpu\.int8.*raise --latency"):
        searching("2ms", int8=0.8)
    with pytest.raises(UsageError, match=r"50%.*--precision any"):
        searching("9ms", "50%")


def test_losses_are_compared_after_the_same_training():
    small = {"valid_nats": 1.0, "trained_nats": {"70": 0.8, "175": 0.7}}
    large = {"valid_nats": 0.9, "trained_nats": {"70": 0.85}}
    none = {"valid_nats": 0.95, "trained_nats": {}}
    assert comparable_losses([small, large]) == [0.8, 0.85]
    assert comparable_losses([small, small]) == [0.7, 0.7]
    assert comparable_losses([small, none]) == [1.0, 0.95]
    assert comparable_losses([large]) == [0.85]
