"""The whole stage with a made-up predictor, device and loss: results, resuming, sharing, errors."""

import json
import math
import os

import pytest
from search_toys import LENGTHS, SPACE, Device, Killed, everything, in_turns, latency, loss, predict, timed

from hat import files
from hat.architecture.complexity import count_flops
from hat.architecture.file import load_architecture
from hat.errors import ArtifactError, BudgetError, UsageError
from hat.experiment.run_directory import RunDirectory, is_current
from latency_predictor.budget import parse_budget
from search import run as stage
from search.aim import HEADROOM
from search.budget_search import prepare
from search.candidate import LOSS_UNIT
from search.finalists import ROUNDS
from search.reference import ATTEMPTS
from search.run import name_budgets, search_with

INPUTS = {"super": "weights 1", "predictor": "first"}
FULL_MS = latency(SPACE.full_transformer())


def find(run, *budgets, device=None, inputs=INPUTS):
    device = device or Device(run)
    named = name_budgets("cpu", [parse_budget(budget) for budget in budgets])
    names = search_with(run, "cpu", named, inputs, lambda: device.instruments)
    return names, device


def chosen(run, name):
    return json.loads((run.search(name) / "choice.json").read_text())


def results(run, name):
    """Everything a search leaves, by file name, and the losses it stored."""
    kept = {path.name: path.read_bytes() for path in run.search(name).iterdir() if path.name != "front.png"}
    return kept | {"evaluations": (run.path / "search" / "evaluations.jsonl").read_bytes()}


def test_leaves_the_winner_the_front_and_the_history(run, capsys):
    names, device = find(run, "9ms")
    assert names == ["cpu-9ms"]
    folder = run.search("cpu-9ms")
    choice = chosen(run, "cpu-9ms")
    architecture = load_architecture(folder / "architecture.yaml")
    assert architecture.to_dict() == choice["architecture"]
    assert choice["measured_ms"] == latency(architecture) <= choice["budget_ms"] == 9
    assert choice["full_ms"] == FULL_MS
    assert choice["measured_range_ms"] == pytest.approx([0.97 * choice["measured_ms"], 1.03 * choice["measured_ms"]])
    assert choice["full_range_ms"] == pytest.approx([0.97 * FULL_MS, 1.03 * FULL_MS])
    assert (choice["budget"], choice["quantile"]) == ("9ms", 0.5)
    assert choice["flops"] == count_flops(architecture, device.instruments.spec, *LENGTHS)
    assert choice["valid_nats"] == loss(architecture)
    assert choice["valid_nats"] == min(loss(a) for a in device.scored if latency(a) <= 9 * HEADROOM)
    front = json.loads((folder / "front.json").read_text())
    assert [row["valid_nats"] for row in front] == sorted((row["valid_nats"] for row in front), reverse=True)
    assert len(json.loads((folder / "candidates.json").read_text())) == len(device.scored)
    history = json.loads((folder / "history.json").read_text())
    assert [row["iteration"] for row in history] == [1, 2, 3, 4, 5, 6]
    assert history[-1]["evaluations"] == len(device.scored)
    assert (folder / "front.png").read_bytes().startswith(b"\x89PNG")
    printed = capsys.readouterr().out
    assert "* " in printed
    assert "+-" in printed  # half the range
    assert f"{choice['measured_ms']:.2f} ms   3.0%" in printed
    assert "hat-train-sub cpu-9ms" in printed


def test_budgets_share_evaluations_and_nothing_is_scored_twice(run):
    names, device = find(run, "9ms", "60%")
    assert names == ["cpu-9ms", "cpu-60pct"]
    assert len(set(device.scored)) == len(device.scored)
    alone = sum(json.loads((run.search(n) / "history.json").read_text())[-1]["evaluations"] for n in names)
    assert len(device.scored) < alone
    choice = chosen(run, "cpu-60pct")
    assert choice["budget_ms"] == pytest.approx(0.6 * FULL_MS)
    assert choice["measured_ms"] <= choice["budget_ms"]


def test_each_search_is_prepared_once_and_again_where_the_one_before_it_taught_more(run, monkeypatch):
    prepared = []
    monkeypatch.setattr(stage, "prepare", lambda *given: (prepared.append(given[1].name), prepare(*given))[1])
    find(run, "9ms")
    assert prepared == ["cpu-9ms"]
    find(run, "9ms", "60%", "50%")
    assert prepared[1:] == ["cpu-60pct", "cpu-50pct", "cpu-50pct"]


def test_up_to_date_results_stay_without_making_instruments(run, capsys):
    find(run, "9ms")
    before = results(run, "cpu-9ms")

    def unwanted():
        raise AssertionError("nothing to do")

    named = name_budgets("cpu", [parse_budget("9ms")])
    assert search_with(run, "cpu", named, INPUTS, unwanted) == ["cpu-9ms"]
    assert results(run, "cpu-9ms") == before
    assert "up to date" in capsys.readouterr().out


def test_new_weights_are_scored_anew_and_a_new_predictor_is_not(run):
    _, first = find(run, "9ms")
    _, again = find(run, "9ms", inputs=INPUTS | {"predictor": "second"})
    assert first.scored
    assert not again.scored
    assert again.measured
    _, other = find(run, "9ms", inputs=INPUTS | {"super": "weights 2"})
    assert other.scored == first.scored


def test_losses_that_an_older_version_kept_in_bits_are_scored_anew(run):
    key = files.fingerprint([INPUTS["super"], run.config.search.validation_sentences])
    old = [{"key": key, "architecture": a.to_dict(), "valid_nll": loss(a) / math.log(2)} for a in everything()]
    (run.path / "search").mkdir()
    (run.path / "search" / "evaluations.jsonl").write_text("".join(json.dumps(row) + "\n" for row in old))
    find(run, "9ms")
    choice = chosen(run, "cpu-9ms")
    assert choice["valid_nats"] == loss(load_architecture(run.search("cpu-9ms") / "architecture.yaml"))


def test_losses_that_an_older_version_took_of_the_first_sentences_are_scored_anew(run):
    key = files.fingerprint([INPUTS["super"], run.config.search.validation_sentences, LOSS_UNIT])
    old = [{"key": key, "architecture": a.to_dict(), "valid_nats": 2 * loss(a)} for a in everything()]
    (run.path / "search").mkdir()
    (run.path / "search" / "evaluations.jsonl").write_text("".join(json.dumps(row) + "\n" for row in old))
    find(run, "9ms")
    choice = chosen(run, "cpu-9ms")
    assert choice["valid_nats"] == loss(load_architecture(run.search("cpu-9ms") / "architecture.yaml"))


@pytest.mark.parametrize("killed_at", [0, 4, 9, 25, 44, 83])
def test_killed_and_run_again_ends_like_an_uninterrupted_search(run, tmp_path, killed_at):
    whole = RunDirectory.create(tmp_path / "toy.yaml", tmp_path / "whole")
    _, uninterrupted = find(whole, "9ms")
    first = Device(run, killed_at)
    with pytest.raises(Killed):
        find(run, "9ms", device=first)
    assert not is_current(run.search("cpu-9ms"), INPUTS)
    _, second = find(run, "9ms")
    assert results(run, "cpu-9ms") == results(whole, "cpu-9ms")
    assert first.scored + second.scored == uninterrupted.scored


def test_an_impossible_budget_fails_before_anything_is_scored(run):
    device, fastest = Device(run), min(predict(everything()))
    with pytest.raises(BudgetError, match="below the fastest SubTransformer") as error:
        find(run, "9ms", "2ms", device=device)
    assert f"{fastest:.4g} ms measured" in str(error.value)
    assert device.scored == []
    with pytest.raises(BudgetError, match=f"5% of the full-size Transformer's {FULL_MS:.4g} ms"):
        find(run, "5%")


def test_a_budget_that_seems_impossible_is_measured_again(run):
    """Where all takes twice as long at first: up to the last attempt at a reference, and for longer."""
    budget, rounds = f"{1.5 * min(predict(everything())):.4g}ms", []

    def measure(architectures):
        rounds.append(architectures)
        return [timed((2 if len(rounds) <= slow else 1) * latency(architecture)) for architecture in architectures]

    slow = ATTEMPTS * ROUNDS
    with pytest.raises(BudgetError, match="below the fastest SubTransformer"):
        find(run, budget, device=Device(run, measure=measure))
    assert len(rounds) == ATTEMPTS * ROUNDS
    rounds.clear()
    slow = (ATTEMPTS - 1) * ROUNDS
    names, _ = find(run, budget, device=Device(run, measure=measure))
    assert chosen(run, names[0])["measured_ms"] <= 1.5 * min(predict(everything()))


def test_the_remedy_of_an_impossible_budget_works(run):
    for impossible in ("2ms", "5%"):
        with pytest.raises(BudgetError) as error:
            find(run, impossible)
        enough = str(error.value).rpartition("raise --latency to ")[2].split()[0]
        find(run, enough)


def test_a_device_that_is_faster_than_predicted_is_aimed_at_as_it_is(run):
    """The predictor says 5 ms where a call takes 1 + 0.6 * 5."""
    quicker = Device(run, measure=in_turns(lambda a: timed(1 + 0.6 * latency(a))))
    find(run, "7ms", device=quicker)
    choice = chosen(run, "cpu-7ms")
    assert choice["predicted_ms"] == pytest.approx(choice["measured_ms"])
    assert choice["conversion"]["overhead_ms"] == pytest.approx(1.0)
    assert choice["conversion"]["factor"] == pytest.approx(0.6)
    assert choice["valid_nats"] == min(loss(a) for a in quicker.scored if 1 + 0.6 * latency(a) <= 7 * HEADROOM)


def test_a_budget_that_only_the_fastest_meets_is_met(run):
    fastest = min(predict(everything()))
    tight = f"{1.001 * fastest / HEADROOM:.3f}ms"
    find(run, "12ms", tight)
    assert chosen(run, f"cpu-{tight}")["measured_ms"] == fastest


def test_the_reference_is_kept_and_measured_once(run):
    find(run, "9ms")
    kept = json.loads((run.path / "search" / "reference.cpu.json").read_text())["state"]
    fastest = min(everything(), key=latency)
    assert kept["fastest"] == fastest.to_dict()
    assert kept["fastest_ms"] == kept["fastest_predicted_ms"] == latency(fastest)
    assert kept["full_ms"] == kept["full_predicted_ms"] == FULL_MS
    _, again = find(run, "10ms")
    assert fastest not in again.measured


def test_what_finalists_of_one_search_took_is_known_to_the_next(run):
    def measure(architecture):  # the fastest and the full-size as predicted, those between not
        between = 5.5 < latency(architecture) < FULL_MS - 0.5
        return timed(latency(architecture) * (1.1 if between else 1.0))

    for budget in ("9ms", "10ms"):
        find(run, budget, device=Device(run, measure=in_turns(measure)))
    first, second = (chosen(run, f"cpu-{budget}")["conversion"] for budget in ("9ms", "10ms"))
    assert first["count"] == 2
    assert second["count"] > 2
    assert second["spread"] > first["spread"] == pytest.approx(0.0)


def test_the_reference_of_a_share_of_sentences_is_a_file_of_its_own(run):
    find(run, "9ms@p90")
    assert [path.name for path in (run.path / "search").glob("reference.*")] == ["reference.cpu.p90.json"]
    choice = chosen(run, "cpu-9ms-p90")
    assert (choice["name"], choice["budget"], choice["quantile"]) == ("cpu-9ms-p90", "9ms@p90", 0.9)


@pytest.mark.parametrize(("slower", "warned"), [(1.0, False), (1.1, False), (1.5, True), (0.6, True)])
def test_a_machine_that_changed_its_speed_is_told(run, capsys, slower, warned):
    calls = []

    def measure(architecture):
        calls.append(architecture)
        return timed(
            latency(architecture) * (slower if len(calls) > 2 * ROUNDS else 1.0)
        )  # so many are the reference's

    find(run, "60%", device=Device(run, measure=in_turns(measure)))
    assert ("warning: the full-size Transformer" in capsys.readouterr().out) == warned


def test_a_name_is_for_one_budget_and_must_be_a_folder_name():
    budgets = [parse_budget("9ms"), parse_budget("50%")]
    assert list(name_budgets("rpi4", budgets)) == ["rpi4-9ms", "rpi4-50pct"]
    assert list(name_budgets("rpi4", budgets[:1], "phone")) == ["phone"]
    with pytest.raises(UsageError, match="2 budgets"):
        name_budgets("rpi4", budgets, "phone")
    for bad in ("", "a/b", "..", ".x"):
        with pytest.raises(UsageError, match="folder"):
            name_budgets("rpi4", budgets[:1], bad)


def test_the_default_device_is_the_one_measured_last(run):
    assert run.last_measured_device() == "cpu"
    run.latency.mkdir()
    for seconds, name in enumerate(("rpi4", "gpu", "rpi4.calls")):  # the last is what a search of rpi4 keeps
        path = run.latency / f"{name}.jsonl"
        path.write_text("")
        os.utime(path, (1000 + seconds, 1000 + seconds))
    assert run.last_measured_device() == "gpu"


def test_damaged_state_is_named(run):
    find(run, "9ms")
    (run.search("cpu-9ms") / "done.json").unlink()
    (run.search("cpu-9ms") / "state.json").write_text("{")
    with pytest.raises(ArtifactError, match=r"state\.json is not valid JSON"):
        find(run, "9ms")
