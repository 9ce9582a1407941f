"""The whole front with a made-up predictor, device and loss: results, resuming, sharing scores."""

import json
import math

import pytest
from search_toys import SPACE, Device, Killed, in_turns, latency, loss, timed

from hat.architecture.complexity import count_parameters
from hat.architecture.file import load_architecture
from hat.architecture.stacks import Architecture
from hat.errors import UsageError
from hat.experiment.run_directory import RunDirectory, is_current
from hat.training.sub import choose_architecture
from latency_predictor.budget import parse_budget
from search.front import POINTS, search_front_with
from search.report import front_page
from search.report.front_charts import front_charts
from search.run import name_budgets, search_with

INPUTS = {"super": "weights 1", "predictor": "first"}
SIZES = {  # made-up bytes of bundles
    "fp32": lambda architecture: 4000 * sum(architecture.decoder.ffn_dim),
    "int8": lambda architecture: 1000 * sum(architecture.decoder.ffn_dim) + 7,
}
FULL = SPACE.full_transformer()


@pytest.fixture(autouse=True)
def one_chart(monkeypatch):
    """Of the page's nine, which test_front_page tests, for time."""
    monkeypatch.setattr(front_page, "front_charts", lambda *data: dict(list(front_charts(*data).items())[:1]))


def find(run, device=None, inputs=INPUTS):
    device = device or Device(run)
    assert search_front_with(run, "cpu", inputs, lambda: device.instruments, lambda: SIZES) == "cpu-front"
    return device


def kept(run, name):
    return json.loads((run.search("cpu-front") / name).read_text())


def architectures(rows):
    return {Architecture.from_dict(row["architecture"]) for row in rows}


def results(run):
    """Everything a search leaves, by file name, without its pictures and pages."""
    paths = [path for path in run.search("cpu-front").rglob("*") if path.suffix in (".json", ".jsonl", ".yaml")]
    return {path.name: path.read_bytes() for path in [*paths, run.path / "search" / "evaluations.jsonl"]}


def test_leaves_the_front_of_everything_scored_with_points_measured_along_it(run, capsys):
    device = find(run)
    rows, folder = kept(run, "front.json"), run.search("cpu-front")
    points = {(latency(a), loss(a)) for a in device.scored}
    beaten = {b for a in points for b in points if a[0] <= b[0] and a[1] <= b[1] and a != b}
    shown = [(row["predicted_ms"], row["valid_nats"]) for row in rows]
    assert [pytest.approx(point) for point in shown] == sorted(points - beaten)
    for row in rows:
        architecture = Architecture.from_dict(row["architecture"])
        counted = count_parameters(architecture, device.instruments.spec)
        assert (row["parameters"], row["parameters_without_embeddings"]) == counted
        sizes = row["size_fp32_bytes"], row["size_int8_bytes"]
        assert sizes == tuple(size(architecture) for size in SIZES.values())
        assert row["measured_ms"] == (latency(architecture) if architecture in device.measured else None)
    measured = [row for row in rows if row["measured_ms"] is not None]
    assert len(measured) == POINTS
    assert (measured[0], measured[-1]) == (rows[0], rows[-1])
    assert kept(run, "full.json")["measured_ms"] == latency(FULL)
    assert kept(run, "full.json")["valid_nats"] == loss(FULL)
    assert len(kept(run, "candidates.json")) == kept(run, "history.json")[-1]["evaluations"]
    assert (folder / "front.png").read_bytes().startswith(b"\x89PNG")
    printed = capsys.readouterr().out
    assert f"{rows[0]['valid_nats']:.4f}" in printed
    assert f"{latency(FULL) / measured[0]['measured_ms']:.2f}x" in printed


def test_the_measured_points_are_spread_over_the_range(run):
    find(run)
    rows = kept(run, "front.json")
    logs = [math.log(row["predicted_ms"]) for row in rows]
    for target in [logs[0] + share / (POINTS - 1) * (logs[-1] - logs[0]) for share in range(POINTS)]:
        nearest = sorted(range(len(rows)), key=lambda index: abs(logs[index] - target))[:2]  # one may be taken
        assert any(rows[index]["measured_ms"] is not None for index in nearest)


def test_what_it_says_to_do_next_works(run, capsys):
    find(run)
    search, train = capsys.readouterr().out.splitlines()[-2:]
    assert search.split()[:2] == ["hat-search", "--device"]
    budget = parse_budget(search.split()[-1])
    name, _ = choose_architecture(run, architecture=train.split()[2], name=train.split()[4])
    assert name.startswith("cpu-front-")
    architecture = load_architecture(train.split()[2])
    assert latency(architecture) <= budget.milliseconds <= 1.1 * latency(architecture)
    search_with(run, "cpu", name_budgets("cpu", [budget]), INPUTS, lambda: Device(run).instruments)
    choice = json.loads((run.search(f"cpu-{budget.slug()}") / "choice.json").read_text())
    assert choice["valid_nats"] <= loss(architecture)


def test_a_device_of_the_users_own_file_is_named_by_what_was_kept_of_it(run, capsys):
    run.device_file("cpu").parent.mkdir(parents=True)
    run.device_file("cpu").touch()
    find(run)
    assert f"hat-search --device {run.device_file('cpu')} --latency" in capsys.readouterr().out


def test_every_measured_point_is_an_architecture_file(run):
    find(run)
    folder = run.search("cpu-front") / "points"
    (folder / "99.yaml").write_text("of an earlier front")
    (run.search("cpu-front") / "done.json").unlink()
    find(run)
    measured = [row for row in kept(run, "front.json") if row["measured_ms"] is not None]
    assert sorted(path.name for path in folder.iterdir()) == [f"{number}.yaml" for number in range(1, POINTS + 1)]
    for number, row in enumerate(measured, start=1):
        assert load_architecture(folder / f"{number}.yaml").to_dict() == row["architecture"]


def test_scores_are_shared_with_the_searches_for_budgets(run):
    budget = Device(run)
    search_with(run, "cpu", name_budgets("cpu", [parse_budget("9ms")]), INPUTS, lambda: budget.instruments)
    front = find(run)
    assert front.scored
    assert not set(front.scored) & set(budget.scored)
    shown, asked = (architectures(kept(run, name)) for name in ("front.json", "candidates.json"))
    assert shown & (set(budget.scored) - asked)  # the front is of everything scored


def test_an_up_to_date_front_stays_and_new_weights_give_another(run, capsys):
    find(run)
    before = results(run)

    def unwanted():
        raise AssertionError("nothing to do")

    search_front_with(run, "cpu", INPUTS, unwanted, unwanted)
    assert results(run) == before
    assert "up to date" in capsys.readouterr().out
    assert find(run, inputs=INPUTS | {"super": "weights 2"}).scored
    again = find(run, inputs=INPUTS | {"super": "weights 2", "predictor": "second"})
    assert again.measured
    assert not again.scored


@pytest.mark.parametrize("killed_at", [0, 10, 14, 23, 51, 81, 82, 90, 101])
def test_killed_and_run_again_ends_like_an_uninterrupted_search(run, tmp_path, killed_at):
    whole = RunDirectory.create(tmp_path / "toy.yaml", tmp_path / "whole")
    uninterrupted = find(whole)
    first = Device(run, killed_at)
    with pytest.raises(Killed):
        find(run, first)
    assert not is_current(run.search("cpu-front"), INPUTS)
    second = find(run)
    assert results(run) == results(whole)
    assert first.scored + second.scored == uninterrupted.scored
    assert len(first.scored) + len(first.measured) == killed_at
    repeated = len(first.measured) + len(second.measured) - len(uninterrupted.measured)
    assert 0 <= repeated <= POINTS  # at most of the round that was cut off


def test_losses_whose_file_was_removed_are_still_on_the_front(run):
    find(run)
    before = kept(run, "front.json")
    (run.path / "search" / "evaluations.jsonl").unlink()
    (run.search("cpu-front") / "done.json").unlink()
    find(run)
    assert kept(run, "front.json") == before


def test_a_name_of_a_front_is_no_name_of_a_budget():
    with pytest.raises(UsageError, match="--front"):
        name_budgets("cpu", [parse_budget("9ms")], "cpu-front")


def test_the_full_size_is_the_one_that_was_measured_beside_the_points(run):
    """The device is slower than predicted."""
    find(run, Device(run, measure=in_turns(lambda architecture: timed(1.3 * latency(architecture), 0.02))))
    full = kept(run, "full.json")
    assert full["measured_ms"] == pytest.approx(1.3 * latency(FULL))
    assert full["measured_range_ms"] == pytest.approx([0.98 * full["measured_ms"], 1.02 * full["measured_ms"]])
    assert full["predicted_ms"] == pytest.approx(full["measured_ms"])  # by then it is known how much slower
