"""A race over sentences on a space that brute force can search, with made-up losses that few sentences blur."""

from dataclasses import replace

import numpy as np
import pytest
from search_toys import SETTINGS as LONG
from search_toys import SPACE, everything, latency, loss, predict

from hat import files
from search.evaluations import Evaluations
from search.evolution import Evolution
from search.evolving import evolve
from search.sentence_race import raced_losses

SETTINGS = replace(LONG, iterations=8)
TOKENS = (10, 30, 160)


def allow(architectures):
    return [latency(architecture) <= 9.0 for architecture in architectures]


class Scores:
    """Scores whose first part differs from the whole, by as much for all (`shift`) and by something of each one's own.

    The latter is drawn from a normal distribution with the deviation `blur`, in nats a token.
    """

    def __init__(self, shift=0.0, blur=0.1, seed=0):
        self.asked, self._shift, self._blur, self._seed = [], shift, blur, seed

    def __call__(self, architectures, part):
        self.asked += [(architecture, part) for architecture in architectures]
        return (self._score(architecture, part) for architecture in architectures)

    def _score(self, architecture, part):
        own = int(files.fingerprint(architecture.to_dict())[:8], 16)
        blur = self._shift + self._blur * np.random.default_rng([self._seed, own]).normal()
        off = (blur * TOKENS[0], 0.0, -blur * TOKENS[0])[part]  # taken back by the last part
        return loss(architecture) * TOKENS[part] + off, TOKENS[part]

    def tokens(self):
        return sum(TOKENS[part] for _, part in self.asked)


def searched(folder, scores, parents):
    folder.mkdir(exist_ok=True)
    evaluations = Evaluations(folder / "evaluations.jsonl", "key", parts=3)
    evolution = Evolution(SPACE, SETTINGS, predict, allow, seed=1)
    evolve(evolution, "toy", folder / "state.json", "inputs", evaluations, scores, parents)
    return evolution


@pytest.mark.parametrize(("shift", "blur"), [(-5.0, 0.0), (5.0, 0.1), (0.0, 1.0)])  # first sentences may be easier
def test_every_generation_breeds_from_the_parents_of_the_full_search(tmp_path, shift, blur):
    full, raced = Scores(shift, blur), Scores(shift, blur)
    found = searched(tmp_path / "full", full, parents=None)
    cheaper = searched(tmp_path / "raced", raced, parents=SETTINGS.parents)
    assert [row["median_nats"] for row in cheaper.history] == [row["median_nats"] for row in found.history]
    best = min(cheaper.candidates, key=lambda candidate: candidate.valid_nats)
    assert best == min(found.candidates, key=lambda candidate: candidate.valid_nats)
    assert best.valid_nats == pytest.approx(min(loss(a) for a in everything() if latency(a) <= 9))
    assert all(candidate.valid_nats == pytest.approx(loss(candidate.architecture)) for candidate in cheaper.candidates)
    assert raced.tokens() <= full.tokens() * (0.6 if blur <= 0.1 else 1.0)


@pytest.mark.parametrize("blur", [0.05, 0.5, 2.0])
def test_who_belongs_to_the_parents_is_hardly_ever_given_up(tmp_path, monkeypatch, blur):
    """Nor is the best one in thirty races; more are given up the less few sentences blur."""
    monkeypatch.setattr(files, "append_json_line", lambda *_: None)
    before, asked, lost, best_lost, kept = everything()[::33], everything()[1::33], 0, 0, 0
    goal = sorted(map(loss, before))[7]
    worthy = [architecture for architecture in asked if loss(architecture) <= goal]
    for seed in range(30):
        scores = Scores(blur=blur, seed=seed)
        evaluations = Evaluations(tmp_path / f"{seed}.jsonl", "key", parts=3)
        list(evaluations.known_or_scored(before, scores))
        found = dict(zip(asked, raced_losses(asked, before, evaluations, scores, parents=8), strict=True))
        lost += sum(found[architecture] is None for architecture in worthy)
        best_lost += found[min(asked, key=loss)] is None
        kept += sum(each is not None for each in found.values())
    assert len(worthy) >= 5
    assert lost <= 0.04 * 30 * len(worthy)
    assert best_lost == 0
    assert kept < {0.05: 0.3, 0.5: 0.7, 2.0: 1.0}[blur] * 30 * len(asked)


def test_newcomers_compete_with_what_was_scored_before(tmp_path):
    scores = Scores(blur=0.0)
    evaluations = Evaluations(tmp_path / "evaluations.jsonl", "key", parts=3)
    ranked = sorted(everything(), key=loss)
    best, worst, between = ranked[:16], ranked[-30:], ranked[7:8]
    before = [*best[:7], *best[8:]]
    list(evaluations.known_or_scored(before, scores))
    losses = raced_losses(worst + between, before, evaluations, scores, parents=8)
    assert losses[:-1] == [None] * 30
    assert losses[-1] == pytest.approx(loss(between[0]))
    assert all(evaluations.known_parts(architecture) == 1 for architecture in worst)


def test_before_there_are_parents_all_are_scored_on_all(tmp_path):
    scores, some = Scores(), everything()[:20]
    evaluations = Evaluations(tmp_path / "evaluations.jsonl", "key", parts=3)
    losses = raced_losses(some, everything()[20:27], evaluations, scores, parents=8)
    assert losses == pytest.approx(list(map(loss, some)))


class Killed(BaseException):
    """Stands for kill -9."""


@pytest.mark.parametrize("killed_at", [0, 20, 37, 70])
def test_killed_and_run_again_scores_nothing_twice(tmp_path, killed_at):
    whole = Scores()
    uninterrupted = searched(tmp_path / "whole", whole, parents=8)
    scores, folder = Scores(), tmp_path / "killed"

    def deadly(architectures, part):
        for architecture in architectures:
            if len(scores.asked) == killed_at:
                raise Killed
            yield from scores([architecture], part)

    with pytest.raises(Killed):
        searched(folder, deadly, parents=8)
    again = searched(folder, scores, parents=8)
    assert (again.candidates, again.history) == (uninterrupted.candidates, uninterrupted.history)
    assert scores.asked == whole.asked
    for name in ("evaluations.jsonl", "state.json"):
        assert (folder / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
