"""Successive halving: who is trained how far, who is named, and that an interrupted contest goes on."""

import json

import pytest
import yaml
from search_toys import CONFIG, SPACE, everything, in_turns, latency, loss, timed

from hat.errors import BudgetError, UsageError
from hat.experiment.config import load_experiment
from hat.experiment.run_directory import RunDirectory
from latency_predictor.budget import parse_budget
from search.aim import HEADROOM
from search.candidate import Candidate
from search.contest import hold_contest
from search.finalists import ROUNDS, Finals
from search.halving import Halving

EVERYTHING = [Candidate(architecture, latency(architecture), loss(architecture)) for architecture in everything()]
CANDIDATES = list({c.valid_nats: c for c in EVERYTHING}.values())  # no two of one loss
BEST = sorted((c for c in CANDIDATES if c.predicted_ms <= 9.0 * HEADROOM), key=lambda c: c.valid_nats)[:6]


def finalists(count):
    finals = Finals(parse_budget("9ms"), SPACE.full_transformer(), in_turns(lambda a: timed(latency(a))))
    return finals.time(BEST[:count])


class Trainings:
    """Losses that turn the inherited order round after 20 updates, and not before; remembers what was asked."""

    def __init__(self):
        self.asked = []

    def __call__(self, architectures, until):
        self.asked.append((until, list(architectures)))
        ranks = [[candidate.architecture for candidate in BEST].index(each) for each in architectures]
        return [rank if until < 20 else -rank for rank in ranks]


def test_the_worse_half_goes_at_each_rung_and_the_survivor_of_training_is_first():
    train = Trainings()
    halving = Halving((10, 20), 4, train)
    ranked = [BEST.index(finalist.candidate) for finalist in halving.rank(finalists(6))]
    assert [(until, len(asked)) for until, asked in train.asked] == [(10, 4), (20, 2)]
    assert ranked == [1, 0, 2, 3, 4, 5]  # of the two left the second was better; then those dropped, then untrained
    assert halving.losses[BEST[1].architecture] == {10: 1, 20: -1}
    assert BEST[4].architecture not in halving.losses


@pytest.mark.parametrize(("count", "rounds"), [(1, []), (2, [2]), (3, [3, 2]), (5, [5, 3, 2])])
def test_no_more_is_trained_than_decides(count, rounds):
    train = Trainings()
    Halving((5, 6, 7), 5, train).rank(finalists(count))
    assert [len(asked) for _, asked in train.asked] == rounds


@pytest.mark.parametrize("most", [0, 1])
def test_without_training_the_inherited_loss_decides(most):
    train = Trainings()
    ranked = Halving((), most, train).rank(finalists(4)[::-1])
    assert [finalist.candidate for finalist in ranked] == BEST[:4]
    assert train.asked == []


class Killed(BaseException):
    """Stands for kill -9: nothing catches it."""


class Device:
    """Instruments of a contest: counts measurements, and can be killed while it trains."""

    def __init__(self, killed=False, measured_ms=latency):
        self.measurements, self._killed, self._measured_ms, self._train = 0, killed, measured_ms, Trainings()

    def measure(self, architectures):
        self.measurements += len(architectures)
        return [timed(self._measured_ms(architecture)) for architecture in architectures]

    def train(self, architectures, until):
        if self._killed:
            raise Killed
        return self._train(architectures, until)


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return RunDirectory.create(write_config(tmp_path))


def write_config(folder, updates=(10, 20), **search):
    settings = {"measured_finalists": 4, "trained_finalists": 4, "halving_updates": list(updates)} | search
    config = CONFIG | {"search": CONFIG["search"] | settings}
    config["sub_training"] = CONFIG["sub_training"] | {"max_update": 40}
    (folder / "toy.yaml").write_text(yaml.safe_dump(config))
    return folder / "toy.yaml"


def hold(run, device, inputs="inputs"):
    directory = run.search("cpu-9ms")
    return hold_contest(run, directory, parse_budget("9ms"), CANDIDATES, 9.0 * HEADROOM, device, inputs)


def test_a_contest_killed_in_its_trainings_goes_on_with_the_same_finalists(run):
    winner, measured, losses = hold(run, Device())
    assert winner.candidate == BEST[1]
    assert winner.meets
    assert measured[-1] is winner  # timed once more, after its training
    killed, again = Device(killed=True), Device()
    with pytest.raises(Killed):
        hold(run, killed, "other inputs")
    assert killed.measurements > 0
    assert hold(run, again, "other inputs") == (winner, measured, losses)
    assert again.measurements == Device().measurements + ROUNDS * 2  # the confirmation alone, beside the full


def test_a_survivor_that_fails_when_timed_again_gives_way_to_the_next(run):
    times = []

    def measured_ms(architecture):
        times.append(architecture)
        return (
            9.5
            if architecture == BEST[1].architecture and times.count(architecture) > ROUNDS
            else latency(architecture)
        )

    winner, _, _ = hold(run, Device(measured_ms=measured_ms))
    assert winner.candidate == BEST[0]


def test_a_budget_that_nothing_meets_is_measured_anew_the_next_time(run):
    slow = Device(measured_ms=lambda architecture: 30.0)
    for _ in range(2):
        before = slow.measurements
        with pytest.raises(BudgetError):
            hold(run, slow)
        assert slow.measurements > before


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"trained_finalists": 5}, "trained_finalists: 5 is above search.measured_finalists: 4"),
        ({"updates": (20, 10)}, r"halving_updates: \[20, 10\] do not increase"),
        ({"updates": (0, 10)}, "halving_updates"),
        ({"updates": (10, 41)}, "halving_updates: 41 is above sub_training.max_update: 40"),
        ({"updates": ()}, "give both, or neither"),
        ({"trained_finalists": 1}, "give both, or neither"),
        ({"trained_finalists": -1}, "trained_finalists"),
    ],
)
def test_settings_that_make_no_sense(tmp_path, settings, message):
    with pytest.raises(UsageError, match=message):
        load_experiment(write_config(tmp_path, **settings))


def test_what_was_kept_is_readable(run):
    hold(run, Device())
    kept = json.loads((run.search("cpu-9ms") / "timings.json").read_text())["state"]
    assert [len(batch) for batch in kept] == [4, 1]
