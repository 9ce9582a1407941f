"""How many weights each tensor can lose, by the harm that it does ("MicroNet for Efficient Language Modeling", 2020).

A tensor loses its smallest weights, all others being whole, until the loss rises to a threshold; the threshold is the
same for all tensors, and such that together they lose what is asked for. Both are found by bisection.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from hat.errors import UsageError

PARTS = 32  # of a tensor are removed one by one, the last never
LEAST_RISE, MOST_RISE = 1e-5, 10.0  # of the loss, in nats, between which the threshold is searched
STEPS = 32  # of that search, the later ones of which ask for losses that are known


@dataclass(frozen=True)
class Found:
    """How many weights of each tensor are `kept`; alone, none raises the loss by more than `rise`, in nats."""

    kept: tuple[int, ...]
    rise: float


def most_parts(rise: Callable[[int], float], threshold: float) -> int:
    """How many PARTS can be removed, of which `rise(parts)` says how much it raises the loss: all but one at most.

    Right where the loss rises with what is removed, else one of several answers.
    """
    low, high = 0, PARTS
    while high - low > 1:
        middle = (low + high) // 2
        if rise(middle) <= threshold:
            low = middle
        else:
            high = middle
    return low


def kept_of(size: int, parts: int) -> int:
    """Weights that are left of a tensor without so many of its PARTS."""
    return math.ceil(size * (PARTS - parts) / PARTS)


def by_sensitivity(
    sizes: Sequence[int], rise: Callable[[int, int], float], most: int, after_step: Callable[[], None] = lambda: None
) -> Found:
    """What is kept of tensors of so many weights, `most` of all together, and fewer by less than one a tensor.

    `rise(tensor, kept)` is by how many nats the loss rises where one is pruned alone, asked again and again for some;
    `after_step` is called STEPS times. Raises UsageError if a tensor would be left with less than its last part.
    """
    least = sum(kept_of(size, PARTS - 1) for size in sizes)
    if most < least:
        raise UsageError(f"leaves too little of a tensor; the highest rate here is about {sum(sizes) // least}")

    def kept_at(threshold: float) -> list[int]:
        def parts(tensor: int, size: int) -> int:
            return most_parts(lambda parts: rise(tensor, kept_of(size, parts)), threshold)

        return [kept_of(size, parts(tensor, size)) for tensor, size in enumerate(sizes)]

    low, high = LEAST_RISE, MOST_RISE
    more, fewer = list(sizes), [kept_of(size, PARTS - 1) for size in sizes]  # kept at these
    for _ in range(STEPS):
        middle = math.sqrt(low * high)
        kept = kept_at(middle)
        if sum(kept) <= most:
            high, fewer = middle, kept
        else:
            low, more = middle, kept
        after_step()
    return Found(_between(fewer, more, most), high)


def _between(fewer: Sequence[int], more: Sequence[int], most: int) -> tuple[int, ...]:
    """On the way from what is fewer to what is more than `most`, all alike."""
    left, way = most - sum(fewer), max(1, sum(more) - sum(fewer))
    return tuple(less + left * (other - less) // way for less, other in zip(fewer, more, strict=True))
