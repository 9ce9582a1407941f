"""Shortlists: the right tokens for a batch, the same after a journey through a file, damaged files refused."""

import pickle

import numpy as np
import pytest

from hat.deploy.shortlist import Shortlist
from hat.errors import ArtifactError

LISTS = {4: [5, 9, 70_000], 5: [5], 7: [1_000, 60_000]}  # source token: its target tokens; others have none


def make_shortlist(lists=LISTS, common=(0, 1, 2, 3, 8)):
    offsets = np.cumsum([0] + [len(lists.get(token, ())) for token in range(10)])
    return Shortlist(offsets, np.concatenate([lists[token] for token in sorted(lists)]), common)


def test_a_batch_gets_the_tokens_of_all_its_sources_and_the_common_ones():
    shortlist = make_shortlist()
    found = shortlist.tokens([[5, 4, 2], [4, 6, 2]])
    assert found.dtype == np.int64
    assert found.tolist() == [0, 1, 2, 3, 5, 8, 9, 70_000]
    assert shortlist.tokens([[6, 2]]).tolist() == [0, 1, 2, 3, 8]


@pytest.mark.parametrize("largest", [60_000, 70_000])  # 16 bits are enough, or not
def test_saving_and_loading(tmp_path, largest):
    lists = {token: [entry for entry in entries if entry <= largest] for token, entries in LISTS.items()}
    shortlist = make_shortlist(lists)
    shortlist.save(tmp_path / "a.npz")
    make_shortlist(lists).save(tmp_path / "b.npz")
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    loaded = Shortlist.load(tmp_path / "a.npz")
    for source in ([4, 2], [5, 7, 2], [6, 9, 2], list(range(10))):
        assert loaded.tokens([source]).tolist() == shortlist.tokens([source]).tolist()


def test_a_file_is_smaller_than_its_tokens(tmp_path):
    rng = np.random.default_rng(0)
    lists = {token: np.sort(rng.choice(6000, 100, replace=False)) for token in range(1000)}
    offsets = np.arange(0, 100_001, 100)
    Shortlist(offsets, np.concatenate([lists[token] for token in range(1000)]), [0]).save(tmp_path / "a.npz")
    assert (tmp_path / "a.npz").stat().st_size < 0.8 * 2 * 100_000


def test_common_tokens_take_no_place_in_a_file_and_stay_in_every_answer(tmp_path):
    lists = {4: [5, 9, 30], 5: [9], 7: [2, 8, 9]}
    with_common, without = (make_shortlist(each, (2, 9)) for each in (lists, {4: [5, 30], 7: [8]}))
    for name, shortlist in (("a", with_common), ("b", without)):
        shortlist.save(tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    loaded = Shortlist.load(tmp_path / "a")
    for source in range(10):
        assert loaded.tokens([[source]]).tolist() == with_common.tokens([[source]]).tolist()


def test_a_file_of_an_earlier_version_is_read(tmp_path):
    lists = np.array([5, 9, 60_000, 3], np.uint16)
    differences = np.diff(lists.astype(np.int64), prepend=0).astype(np.uint16)
    with open(tmp_path / "a", "wb") as handle:
        np.savez_compressed(handle, offsets=np.array([0, 3, 4], np.uint32), tokens=differences, common=np.uint16([9]))
    loaded = Shortlist.load(tmp_path / "a")
    assert loaded.tokens([[0]]).tolist() == [5, 9, 60_000]
    assert loaded.tokens([[1]]).tolist() == [3, 9]


def write_pickled(path):
    with open(path, "wb") as handle:
        np.savez(handle, offsets=np.array([{}], dtype=object), tokens=np.zeros(0), common=np.zeros(0))


def write_incomplete(path):
    with open(path, "wb") as handle:
        np.savez(handle, offsets=np.array([0, 3]), tokens=np.array([4, 1]), common=np.array([0]))


@pytest.mark.parametrize(
    "write",
    [
        lambda path: None,
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(b"PK\x03\x04" + bytes(50)),
        lambda path: path.write_bytes(pickle.dumps({})),
        write_pickled,
        write_incomplete,
    ],
)
def test_what_is_no_shortlist_is_refused(tmp_path, write):
    path = tmp_path / "shortlist.npz"
    write(path)
    with pytest.raises(ArtifactError, match=r"shortlist.npz is not a shortlist .*; export the bundle again") as caught:
        Shortlist.load(path)
    assert "\n" not in str(caught.value)
