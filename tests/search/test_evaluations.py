"""The store of losses."""

import json

import pytest
from search_toys import SPACE

from hat.errors import HatError
from search.evaluations import Evaluations

SMALLEST, LARGEST = SPACE.smallest(), SPACE.largest()


def test_losses_survive_exactly_and_other_keys_are_passed_over(tmp_path):
    path = tmp_path / "evaluations.jsonl"
    Evaluations(path, "a").add(SMALLEST, 0.1 + 0.2)
    Evaluations(path, "b").add(LARGEST, 5.0)
    assert dict(Evaluations(path, "a").items()) == {SMALLEST: 0.1 + 0.2}
    assert LARGEST in Evaluations(path, "b")


def test_losses_of_an_older_version_are_passed_over(tmp_path):
    """It kept bits, under another name and key."""
    path = tmp_path / "evaluations.jsonl"
    path.write_text(json.dumps({"key": "older", "architecture": SMALLEST.to_dict(), "valid_nll": 0.5}) + "\n")
    store = Evaluations(path, "a")
    assert not len(store)
    store.add(SMALLEST, 0.3)
    assert dict(Evaluations(path, "a").items()) == {SMALLEST: 0.3}


def test_a_line_cut_short_by_a_kill_is_mended(tmp_path):
    path = tmp_path / "evaluations.jsonl"
    Evaluations(path, "a").add(SMALLEST, 1.5)
    with open(path, "a") as handle:
        handle.write('{"key": "a", "archi')
    store = Evaluations(path, "a")
    store.add(LARGEST, 2.5)
    assert dict(Evaluations(path, "a").items()) == {SMALLEST: 1.5, LARGEST: 2.5}


def test_a_foreign_line_is_named(tmp_path):
    path = tmp_path / "evaluations.jsonl"
    path.write_text('{"something": "else"}\n')
    with pytest.raises(HatError, match="line 1"):
        Evaluations(path, "a")
