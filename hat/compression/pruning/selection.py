"""Which groups are kept: the largest, of all or of each place, as many as a number of parameters allows."""

import functools
from collections.abc import Sequence

import numpy as np

from hat.architecture.groups import COLUMNS, HEADS, NEURONS
from hat.errors import UsageError

# Groups are kept by so many at a time: products of other widths are slower than the next wider one.
AT_ONCE = {HEADS: 1, NEURONS: 8, COLUMNS: 8}


class Place:
    """The groups of one place: their `kind`, the `size` of each in parameters, and their `scores` (groups,).

    A group of score 0 is gone already. The others are in `chunks`, best first.
    """

    def __init__(self, kind: str, size: int, scores: np.ndarray) -> None:
        self.size, self.scores = size, scores
        self._kind = kind
        self._order = np.argsort(-scores, kind="stable")[: np.count_nonzero(scores)]

    @functools.cached_property
    def chunks(self) -> list[np.ndarray]:
        at_once = AT_ONCE[self._kind]
        return [self._order[at : at + at_once] for at in range(0, len(self._order), at_once)]

    @property
    def chunk_scores(self) -> list[float]:
        return [float(np.mean(self.scores[chunk])) for chunk in self.chunks]

    @property
    def parameters(self) -> int:
        """Of all groups that are there."""
        return self.size * len(self._order)

    def best(self, count: int) -> np.ndarray:
        """(groups,) booleans: the `count` groups with the highest scores."""
        kept = np.zeros(len(self.scores), bool)
        kept[self._order[:count]] = True
        return kept


def keep_over_all(places: Sequence[Place], parameters: int) -> list[np.ndarray]:
    """Booleans (groups,) of each place: the groups with the highest scores that together have so many parameters.

    Each place keeps its first chunk. Raises UsageError if these alone are more.
    """
    counts = [len(place.chunks[0]) for place in places]
    left = parameters - sum(place.size * count for place, count in zip(places, counts, strict=True))
    if left < 0:
        raise _too_few(places, parameters - left)
    ranked = sorted(
        (-score, number, index)
        for number, place in enumerate(places)
        for index, score in enumerate(place.chunk_scores)
        if index
    )
    full: set[int] = set()  # places whose next chunk has no room
    for _, number, index in ranked:
        count = len(places[number].chunks[index])
        cost = places[number].size * count
        if number in full or cost > left:
            full.add(number)
            continue
        counts[number], left = counts[number] + count, left - cost
    return keep_counts(places, counts)


def keep_in_each(places: Sequence[Place], parameters: int) -> list[np.ndarray]:
    """The same share of each place, in whole chunks; raises UsageError if it leaves a place empty."""
    total = sum(place.parameters for place in places)
    first = [place.size * len(place.chunks[0]) for place in places]
    chunks = [int(parameters / total * place.parameters / size) for place, size in zip(places, first, strict=True)]
    if not all(chunks):
        least = max(place.parameters / size for place, size in zip(places, first, strict=True))
        raise _too_few(places, int(total / least) + 1)
    return keep_counts(places, [count * len(place.chunks[0]) for place, count in zip(places, chunks, strict=True)])


def keep_counts(places: Sequence[Place], counts: Sequence[int]) -> list[np.ndarray]:
    """Booleans (groups,) of each place: its best, so many."""
    return [place.best(count) for place, count in zip(places, counts, strict=True)]


def _too_few(places: Sequence[Place], least: int) -> UsageError:
    total = sum(place.parameters for place in places)
    highest = int(100 * total / least) / 100
    return UsageError(f"leaves a layer empty; the highest rate here is about {highest:g}")
