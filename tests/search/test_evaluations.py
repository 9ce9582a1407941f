"""The store of losses."""

import json

import pytest
from search_toys import SPACE

from hat.errors import HatError
from search.evaluations import Evaluations

SMALLEST, LARGEST = SPACE.smallest(), SPACE.largest()


def known(store):
    return {
        candidate.architecture: candidate.valid_nats for candidate in store.candidates(lambda some: [0] * len(some))
    }


def test_a_loss_is_the_mean_over_the_tokens_of_its_parts_and_whole_ones_alone_are_candidates(tmp_path):
    path = tmp_path / "evaluations.jsonl"
    store, asked = Evaluations(path, "a", parts=2), []

    def scores(architectures, part):
        asked.append((list(architectures), part))
        return [(6.0, 3)] * len(architectures) if part == 0 else [(1.0, 7)] * len(architectures)

    assert list(store.known_or_scored([SMALLEST, LARGEST], scores, parts=1)) == [2.0, 2.0]
    assert known(store) == {}
    assert list(store.known_or_scored([LARGEST], scores)) == [0.7]
    assert asked == [([SMALLEST, LARGEST], 0), ([LARGEST], 1)]
    again = Evaluations(path, "a", parts=2)
    assert known(again) == {LARGEST: 0.7}
    assert (again.loss(SMALLEST, parts=1), again.loss(LARGEST, parts=1)) == (2.0, 2.0)
    assert list(again.known_or_scored([SMALLEST], scores)) == [0.7]
    assert asked[2:] == [([SMALLEST], 1)]


def test_losses_survive_exactly_and_other_keys_are_passed_over(tmp_path):
    path = tmp_path / "evaluations.jsonl"
    Evaluations(path, "a").add(SMALLEST, 0, 0.1 + 0.2, 1)
    Evaluations(path, "b").add(LARGEST, 0, 5.0, 1)
    assert known(Evaluations(path, "a")) == {SMALLEST: 0.1 + 0.2}
    assert known(Evaluations(path, "b")) == {LARGEST: 5.0}


def test_losses_of_an_older_version_are_passed_over(tmp_path):
    """It kept bits, under another name and key."""
    path = tmp_path / "evaluations.jsonl"
    path.write_text(json.dumps({"key": "older", "architecture": SMALLEST.to_dict(), "valid_nll": 0.5}) + "\n")
    store = Evaluations(path, "a")
    assert known(store) == {}
    store.add(SMALLEST, 0, 0.3, 1)
    assert known(Evaluations(path, "a")) == {SMALLEST: 0.3}


def test_a_line_cut_short_by_a_kill_is_mended(tmp_path):
    path = tmp_path / "evaluations.jsonl"
    Evaluations(path, "a").add(SMALLEST, 0, 1.5, 1)
    with open(path, "a") as handle:
        handle.write('{"key": "a", "archi')
    store = Evaluations(path, "a")
    store.add(LARGEST, 0, 2.5, 1)
    assert known(Evaluations(path, "a")) == {SMALLEST: 1.5, LARGEST: 2.5}


def test_a_foreign_line_is_named(tmp_path):
    path = tmp_path / "evaluations.jsonl"
    path.write_text('{"something": "else"}\n')
    with pytest.raises(HatError, match="line 1"):
        Evaluations(path, "a")
