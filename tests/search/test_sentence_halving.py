"""Halving over sentences on a space that brute force can search, with made-up losses that few sentences blur."""

from dataclasses import replace

import pytest
from search_toys import SETTINGS as LONG
from search_toys import SPACE, everything, latency, loss, predict

from search.evaluations import Evaluations
from search.evolution import Evolution
from search.evolving import evolve
from search.sentence_halving import halved_losses

SETTINGS = replace(LONG, iterations=8)
TOKENS = (10, 30, 160)
SHARPNESS = 0.1  # how far the first part's loss is from the whole's, in nats a token


def allow(architectures):
    return [latency(architecture) <= 9.0 for architecture in architectures]


class Scores:
    """Scores whose parts differ from the whole, by as much for all (`shift`) and by something of each one's own."""

    def __init__(self, shift=0.0, sharpness=SHARPNESS):
        self.asked, self._shift, self._sharpness = [], shift, sharpness

    def __call__(self, architectures, part):
        self.asked += [(architecture, part) for architecture in architectures]
        return (self._score(architecture, part) for architecture in architectures)

    def _score(self, architecture, part):
        blur = self._shift + self._sharpness * ((latency(architecture) * 1000) % 1 - 0.5)
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


@pytest.mark.parametrize("shift", [0.0, -5.0, 5.0])  # first sentences that are easier or harder than the others
def test_finds_the_winner_of_the_full_search_for_a_part_of_the_work(tmp_path, shift):
    full, halved = Scores(shift), Scores(shift)
    found = searched(tmp_path / "full", full, parents=None)
    cheaper = searched(tmp_path / "halved", halved, parents=SETTINGS.parents)
    best = min(cheaper.candidates, key=lambda candidate: candidate.valid_nats)
    assert best == min(found.candidates, key=lambda candidate: candidate.valid_nats)
    assert best.valid_nats == pytest.approx(min(loss(a) for a in everything() if latency(a) <= 9))
    assert halved.tokens() < full.tokens() / 2
    assert all(candidate.valid_nats == pytest.approx(loss(candidate.architecture)) for candidate in cheaper.candidates)


def test_more_sentences_are_for_the_better_ones(tmp_path):
    scores, some = Scores(sharpness=0.0), everything()[:60]
    evaluations = Evaluations(tmp_path / "evaluations.jsonl", "key", parts=3)
    losses = halved_losses(some, [], evaluations, scores, parents=8)
    ranked = sorted(some, key=loss)
    on_parts = [[architecture for architecture, asked in scores.asked if asked == part] for part in range(3)]
    assert [len(architectures) for architectures in on_parts] == [60, 16, 12]
    assert max(map(loss, on_parts[2])) == loss(ranked[11])
    assert [found is None for found in losses] == [architecture not in on_parts[2] for architecture in some]


def test_newcomers_compete_with_what_was_scored_before(tmp_path):
    scores = Scores(sharpness=0.0)
    evaluations = Evaluations(tmp_path / "evaluations.jsonl", "key", parts=3)
    ranked = sorted(everything(), key=loss)
    best, worst, between = ranked[:16], ranked[-30:], ranked[8:9]
    list(evaluations.known_or_scored([*best[:8], *best[9:]], scores))
    losses = halved_losses(worst + between, [*best[:8], *best[9:]], evaluations, scores, parents=8)
    assert losses[:-1] == [None] * 30
    assert losses[-1] == pytest.approx(loss(between[0]))
    assert all(evaluations.known_parts(architecture) == 1 for architecture in worst)


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
