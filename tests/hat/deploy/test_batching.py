"""Windows, batches, threads and pools by themselves."""

import threading
import time

import numpy as np
import pytest

from hat.deploy.batching import Pool, map_in_threads, token_batches, windows


@pytest.mark.parametrize("count", [0, 1, 6, 7, 100])
def test_windows_hold_all_in_order(count):
    found = list(windows(iter(range(count)), 3))
    assert sum(found, []) == list(range(count))
    assert all(len(window) == 3 for window in found[:-1])
    assert all(1 <= len(window) <= 3 for window in found)


def test_windows_give_what_came_before_an_error():
    def broken():
        yield from "abcd"
        raise OSError("gone")

    found = windows(broken(), 3)
    assert [next(found), next(found)] == [["a", "b", "c"], ["d"]]
    with pytest.raises(OSError, match="gone"):
        next(found)


@pytest.mark.parametrize("budget", [1, 30, 100, 10_000])
def test_batches_hold_each_index_once_within_the_budget(budget):
    lengths = np.random.default_rng(1).integers(1, 60, 200).tolist()
    batches = token_batches(lengths, budget)
    assert sorted(sum(batches, [])) == list(range(200))
    for batch in batches:
        assert len(batch) == 1 or len(batch) * max(lengths[index] for index in batch) <= budget
    assert [lengths[index] for batch in batches for index in batch] == sorted(lengths, reverse=True)
    for batch, after in zip(batches, batches[1:], strict=False):  # no room was left
        assert lengths[batch[0]] * (len(batch) + 1) > budget, after


def test_threads_run_at_once_and_keep_the_order():
    together = threading.Barrier(3, timeout=30)

    def work(item):
        together.wait()  # passes only if three run at once
        return item * item

    assert map_in_threads(work, range(6), 3) == [0, 1, 4, 9, 16, 25]
    assert map_in_threads(lambda item: -item, [], 3) == []


def test_an_error_ends_the_threads_and_leaves_the_rest_undone():
    done, before = [], threading.active_count()

    def work(item):
        if item == 0:
            raise ValueError("no")
        time.sleep(0.001)  # else all may be done before the error is seen
        done.append(item)

    with pytest.raises(ValueError, match="no"):
        map_in_threads(work, range(10_000), 2)
    assert threading.active_count() == before
    assert len(done) < 9_999


def test_a_pool_lends_each_thing_to_one_at_a_time():
    made = []
    pool = Pool(lambda: made.append(object()) or made[-1])
    with pool.borrowed() as first, pool.borrowed() as second:
        assert first is not second
    with pool.borrowed() as again:
        assert again in (first, second)
    assert len(made) == 2


def test_a_thing_that_failed_does_not_come_back():
    pool = Pool(object)
    with pytest.raises(ValueError, match="broken"), pool.borrowed() as failed:
        raise ValueError("broken")
    with pool.borrowed() as next_one:
        assert next_one is not failed
