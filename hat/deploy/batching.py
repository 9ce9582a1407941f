"""How many sentences become few searches: windows of a stream, batches of a window, workers, a pool of searches."""

from __future__ import annotations

import concurrent.futures
import contextlib
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from hat.errors import UsageError


def windows(items: Iterable[Any], size: int) -> Iterator[list[Any]]:
    """Yield lists of `size` items, the last one shorter; reads no further than the window it yields.

    When `items` raises an exception, the items before it are yielded first.
    """
    window = []
    try:
        for item in items:
            window.append(item)
            if len(window) == size:
                yield window
                window = []
    except Exception:
        if window:
            yield window
        raise
    if window:
        yield window


def token_batches(lengths: Sequence[int], batch_tokens: int) -> list[list[int]]:
    """Indices of `lengths`, longest first, in lists of at most `batch_tokens` tokens, padding included.

    A batch holds at least one index, however long.
    """
    batches: list[list[int]] = []
    for index in sorted(range(len(lengths)), key=lambda index: -lengths[index]):
        if batches and lengths[batches[-1][0]] * (len(batches[-1]) + 1) <= batch_tokens:
            batches[-1].append(index)
        else:
            batches.append([index])
    return batches


def usable_cores() -> int:
    """How many processor cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def check_parallel_options(threads: int, workers: int, batch_tokens: int) -> None:
    """Raise UsageError unless all are positive and `workers` times `threads` threads find as many cores."""
    for name, value in (("threads", threads), ("workers", workers), ("batch_tokens", batch_tokens)):
        if value < 1:
            raise UsageError(f"{name} must be at least 1, not {value}")
    cores = usable_cores()
    if threads * workers > cores:
        wanted = f"{workers} workers of {threads} threads each" if workers > 1 else f"{threads} threads"
        raise UsageError(f"{wanted} are more than the {cores} cores that can be used here; ask for fewer")


def session_threads(threads: int, workers: int) -> int:
    """Threads of a session that workers share: each brings its own and finds `threads - 1` more for itself."""
    return (threads - 1) * workers + 1


def map_in_threads(function: Callable[[Any], Any], items: Sequence[Any], workers: int) -> list[Any]:
    """[function(item) for item in items], in `workers` threads at once; none is left when this returns or raises."""
    if workers == 1 or len(items) < 2:
        return [function(item) for item in items]
    executor = concurrent.futures.ThreadPoolExecutor(min(workers, len(items)))
    try:
        return list(executor.map(function, items))
    finally:
        executor.shutdown(wait=True, cancel_futures=True)


class Pool:
    """Objects that only one thread may use at a time, made by `make` when all others are in use."""

    def __init__(self, make: Callable[[], Any]) -> None:
        self._make = make
        self._free: list[Any] = []

    @contextlib.contextmanager
    def borrowed(self) -> Iterator[Any]:
        """One object for the block; it doesn't come back from a block that raises, since its state is unknown."""
        try:
            thing = self._free.pop()  # atomic, as is append
        except IndexError:
            thing = self._make()
        yield thing
        self._free.append(thing)
