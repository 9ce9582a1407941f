"""The search command's work on budgets about several quantiles of sentences, with a made-up device and predictor."""

import contextlib
import json
import types

import pytest
import yaml
from latency_runs import timing
from search_toys import CONFIG, SPACE, latency, loss

from hat.errors import BudgetError, UsageError
from hat.experiment.run_directory import RunDirectory, mark_done
from latency_predictor.budget import parse_budget
from latency_predictor.link.devices import load_device
from latency_predictor.sampling.lengths import Lengths
from search.aim import HEADROOM
from search.run import check_budgets, search

SLOWER = {0.5: 1.0, 0.9: 1.5}  # nine of ten sentences take up to so many times what the median one takes
FULL_MS = latency(SPACE.full_transformer())


class World:
    """What stands around the search; counts what is asked of it."""

    def __init__(self):
        self.fitted, self.measured, self.scored, self.connected = [], [], [], 0

    def measurer(self, run, device):
        world = self

        class Measurer:
            def __init__(self):
                self.device, self.lengths = device, Lengths({"encode": (5, 9), "decode": (5, 9)}, ((5, 5), (9, 9)))

            def __enter__(self):
                world.connected += 1
                return self

            def __exit__(self, *_):
                world.connected -= 1

            def measure_paced(self, architecture):
                assert world.connected == 1
                world.measured.append(architecture)
                return types.SimpleNamespace(timing=self._timing(architecture))

            def _timing(self, architecture):
                def of_sample(lengths, quantile):
                    assert lengths is self.lengths
                    return timing(SLOWER[quantile] * latency(architecture))

                return of_sample

        return Measurer()

    def load_or_fit(self, run, device_name, quantile):
        load_device(device_name)
        self.fitted.append(quantile)

        def predict(architectures):
            return [SLOWER[quantile] * latency(architecture) for architecture in architectures]

        return types.SimpleNamespace(predict=predict, upper=predict)

    def scores(self, architectures, _part):
        self.scored += architectures
        return ((loss(architecture), 1) for architecture in architectures)


@pytest.fixture
def world(monkeypatch):
    world = World()
    monkeypatch.setattr("search.run.Measurer", world.measurer)
    monkeypatch.setattr("search.run.check_sentences", lambda _run, _budgets: None)
    monkeypatch.setattr("search.run.real_calls_on", lambda *_: contextlib.nullcontext())
    monkeypatch.setattr("search.instruments._load_scorer", lambda _run: world.scores)
    monkeypatch.setattr("latency_predictor.fitting.fit.load_or_fit", world.load_or_fit)
    return world


def make_run(folder, **latency_settings):
    (folder / "toy.yaml").write_text(yaml.safe_dump(CONFIG | {"latency": latency_settings}))
    run = RunDirectory.create(folder / "toy.yaml", folder / "run")
    mark_done(run.super_, "weights", [])
    return run


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return make_run(tmp_path)


def budgets(*texts):
    return [parse_budget(text) for text in texts]


def chosen(run, name):
    return json.loads((run.search(name) / "choice.json").read_text())


def references(run):
    return sorted(path.name for path in (run.path / "search").glob("reference.*"))


def test_every_budget_is_held_against_its_own_quantile(run, world):
    names = search(run, "cpu", budgets("9ms@p90", "9ms", "60%@p90", "60%"))
    assert names == ["cpu-9ms-p90", "cpu-9ms", "cpu-60pct-p90", "cpu-60pct"]
    assert references(run) == ["reference.cpu.json", "reference.cpu.p90.json"]
    choices = {name: chosen(run, name) for name in names}
    assert [choices[name]["quantile"] for name in names] == [0.9, 0.5, 0.9, 0.5]
    for choice in choices.values():
        slower = SLOWER[choice["quantile"]]
        assert choice["full_ms"] == pytest.approx(slower * FULL_MS)
        within = [loss(a) for a in world.scored if slower * latency(a) <= HEADROOM * choice["budget_ms"]]
        assert choice["valid_nats"] == min(within)
        assert choice["measured_ms"] == pytest.approx(choice["predicted_ms"])
        assert choice["measured_ms"] <= choice["budget_ms"]
    assert choices["cpu-60pct-p90"]["budget_ms"] == pytest.approx(1.5 * choices["cpu-60pct"]["budget_ms"])
    assert choices["cpu-9ms-p90"]["valid_nats"] > choices["cpu-9ms"]["valid_nats"]


def test_quantiles_share_losses_but_budgets_of_one_share_the_predictor_too(run, world):
    search(run, "cpu", budgets("9ms", "60%", "9ms@p90", "60%@p90"))
    assert sorted(world.fitted) == [0.5, 0.9]
    assert len(set(world.scored)) == len(world.scored)
    assert world.connected == 0


def test_results_that_are_up_to_date_stay_without_measuring(run, world, capsys):
    search(run, "cpu", budgets("9ms", "12ms@p90"))
    measured, scored = len(world.measured), len(world.scored)
    capsys.readouterr()
    assert search(run, "cpu", budgets("9ms", "12ms@p90")) == ["cpu-9ms", "cpu-12ms-p90"]
    assert (len(world.measured), len(world.scored)) == (measured, scored)
    assert capsys.readouterr().out == "search cpu-9ms: up to date\nsearch cpu-12ms-p90: up to date\n"


@pytest.mark.parametrize("order", [("9ms", "6ms@p90"), ("6ms@p90", "9ms")])
def test_an_impossible_budget_of_any_quantile_fails_before_anything_is_scored(run, world, order):
    """The fastest takes less than 6 ms for the median sentence, but more for nine of ten."""
    search(run, "cpu", budgets("6ms"))
    world.scored.clear()
    for attempt in (search, check_budgets):
        with pytest.raises(BudgetError, match="6ms@p90 is below the fastest"):
            attempt(run, "cpu", budgets(*order))
    assert world.scored == []
    assert world.connected == 0


def test_checking_budgets_measures_once(run, world):
    check_budgets(run, "cpu", budgets("9ms", "60%@p90"))
    measured = len(world.measured)
    check_budgets(run, "cpu", budgets("9ms", "60%@p90"))
    assert len(world.measured) == measured
    assert world.scored == []


def test_checking_budgets_needs_no_supertransformer(run, world):
    (run.super_ / "done.json").unlink()
    check_budgets(run, "cpu", budgets("9ms@p90"))


def test_a_device_described_by_a_file_of_the_users(run, world, tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("backend: onnxruntime\n")
    check_budgets(run, str(path), budgets("9ms"))
    assert search(run, str(path), budgets("9ms")) == ["mine-9ms"]
    assert references(run) == ["reference.mine.json"]


def test_a_share_of_sentences_of_one_length_is_refused_before_anything_is_done(tmp_path, world):
    run = make_run(tmp_path, source_length=4, target_steps=3)
    with pytest.raises(UsageError, match=r"9ms@p90 needs.*latency\.source_length"):
        search(run, "cpu", budgets("9ms", "9ms@p90"))
    assert (world.fitted, world.measured, world.scored) == ([], [], [])
    assert not (run.path / "search").exists()
    assert search(run, "cpu", budgets("9ms", "8ms@p50")) == ["cpu-9ms", "cpu-8ms-p50"]
