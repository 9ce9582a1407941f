"""The Pareto front of (latency, loss), both to be small."""

from collections.abc import Callable, Iterable
from typing import Any


def pareto_front(items: Iterable[Any], key: Callable[[Any], tuple[float, float]]) -> list[Any]:
    """The items that no other beats: fastest first, their losses strictly falling.

    `key(item)` gives (latency, loss). An item is beaten by another that is no worse in both and better in one;
    of items equal in both, the first is kept.
    """
    front: list[Any] = []
    for item in sorted(items, key=key):
        if not front or key(item)[1] < key(front[-1])[1]:
            front.append(item)
    return front
