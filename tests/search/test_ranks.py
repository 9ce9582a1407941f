"""A search in two processes, with a made-up scorer: order, ends and errors; none of them leaves the other waiting."""

import os
import signal

import pytest
import yaml
from forked_ranks import together
from search_toys import CONFIG, everything, loss

from hat.errors import BudgetError
from hat.experiment.run_directory import RunDirectory, mark_done
from search.ranks import follow, leading, spread

SOME = everything()[:37]


def make_run(folder, **changes):
    folder.mkdir()
    (folder / "toy.yaml").write_text(yaml.safe_dump(CONFIG | changes))
    run = RunDirectory.create(folder / "toy.yaml", folder / "run")
    mark_done(run.data, "text", [])
    mark_done(run.super_, "weights", [])
    return run


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return make_run(tmp_path / "first")


def leader(run, *generations, scorer=lambda some, part: map(loss, some), ending=None):
    def lead():
        with leading():
            losses = [list(spread(run, scorer, architectures, 0)) for architectures in generations]
            if ending is not None:
                raise ending
            return losses

    return lead


def follower(run, scored=None, scorer=None):
    def score(architectures, _part):
        scored.extend(architectures)
        return map(loss, architectures)

    def followed():
        follow(run, lambda _run: scorer or score)
        return scored

    scored = []
    return followed


@pytest.mark.parametrize("others", [1, 2])
def test_losses_are_those_of_one_process_in_their_order(run, others):
    generations = [SOME, SOME[:1], [], SOME[5:20]]
    losses, *scored = together(leader(run, *generations), *(follower(run) for _ in range(others)))
    assert losses == [list(map(loss, architectures)) for architectures in generations]
    shares = [len(architectures) for architectures in scored]
    assert min(shares) >= sum(map(len, generations)) // (others + 1) - others - 1


def test_the_others_end_when_nothing_was_scored(run):
    assert together(leader(run), follower(run)) == [[], []]


def test_an_error_of_the_first_process_ends_the_others_without_one(run):
    led, followed = together(leader(run, SOME, ending=BudgetError("too slow")), follower(run))
    assert led == ("BudgetError", "too slow")
    assert isinstance(followed, list)


def broken(architectures, _part):
    yield loss(architectures[0])
    raise BudgetError("no score")


def test_an_error_while_the_first_process_scores_ends_the_others(run):
    led, followed = together(leader(run, SOME, scorer=broken), follower(run))
    assert led == ("BudgetError", "no score")
    assert isinstance(followed, list)


def test_an_error_of_another_process_ends_the_first(run):
    led, followed = together(leader(run, SOME), follower(run, scorer=broken))
    assert followed == ("BudgetError", "no score")
    assert led[0] == "ProcessError"
    assert "run the same command again" in led[1]


@pytest.mark.parametrize("changes", [{"seed": 7}, {"search": {**CONFIG["search"], "validation_sentences": 3}}])
def test_another_run_directory_on_another_machine(run, tmp_path, changes):
    led, followed = together(leader(run, SOME), follower(make_run(tmp_path / "second", **changes)))
    assert followed[0] == "ArtifactError"
    assert "rank 1" in followed[1]
    assert "copy" in followed[1]
    assert led[0] == "ProcessError"


def kill(_architectures, _part):
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_killed_process_ends_the_others(run):
    led, _, followed = together(leader(run, SOME, SOME), follower(run, scorer=kill), follower(run))
    assert led[0] == followed[0] == "ProcessError"
    assert together(leader(run, SOME, scorer=kill), follower(run))[1][0] == "ProcessError"
