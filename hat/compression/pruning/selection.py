"""Which groups are kept: the largest, of all or of each place, as many as a number of parameters allows."""

from collections.abc import Sequence

import numpy as np

from hat.architecture.groups import COLUMNS, HEADS, NEURONS
from hat.errors import UsageError

# Groups are kept by so many at a time: products of other widths are slower than the next wider one.
AT_ONCE = {HEADS: 1, NEURONS: 8, COLUMNS: 8}


class Candidate:
    """The groups of one place: `kind`, their `sizes` in parameters (each of them) and their `scores` (groups,).

    A group of score 0 is gone already.
    """

    def __init__(self, kind: str, size: int, scores: np.ndarray) -> None:
        self.size, self.scores = size, scores
        order = np.argsort(-scores, kind="stable")[: np.count_nonzero(scores)]
        self.chunks = [order[at : at + AT_ONCE[kind]] for at in range(0, len(order), AT_ONCE[kind])]

    @property
    def parameters(self) -> int:
        """Of all groups that are there."""
        return self.size * int(np.count_nonzero(self.scores))

    def kept(self, chunks: int) -> np.ndarray:
        """(groups,) booleans: those of the first chunks."""
        kept = np.zeros(len(self.scores), bool)
        for chunk in self.chunks[:chunks]:
            kept[chunk] = True
        return kept


def keep_over_all(places: Sequence[Candidate], parameters: int) -> list[np.ndarray]:
    """Booleans (groups,) of each place: the groups with the highest scores that together have so many parameters.

    Each place keeps its first chunk. Raises UsageError if these alone are more.
    """
    counts = [1] * len(places)
    left = parameters - sum(place.size * len(place.chunks[0]) for place in places)
    if left < 0:
        raise _too_few(places, parameters - left)
    ranked = sorted(
        (-float(np.mean(place.scores[chunk])), number, index)
        for number, place in enumerate(places)
        for index, chunk in enumerate(place.chunks[1:], start=1)
    )
    full: set[int] = set()  # places whose next chunk has no room
    for _, number, index in ranked:
        cost = places[number].size * len(places[number].chunks[index])
        if number in full or cost > left:
            full.add(number)
            continue
        counts[number], left = index + 1, left - cost
    return [place.kept(count) for place, count in zip(places, counts, strict=True)]


def keep_in_each(places: Sequence[Candidate], parameters: int) -> list[np.ndarray]:
    """The same share of each place, in whole chunks; raises UsageError if it leaves a place empty."""
    share = parameters / sum(place.parameters for place in places)
    counts = [int(share * np.count_nonzero(place.scores) / len(place.chunks[0])) for place in places]
    if not all(counts):
        least = max(place.parameters / (place.size * len(place.chunks[0])) for place in places)
        total = sum(place.parameters for place in places)
        raise _too_few(places, int(total / least) + 1)
    return [place.kept(count) for place, count in zip(places, counts, strict=True)]


def keep_counts(places: Sequence[Candidate], counts: Sequence[int]) -> list[np.ndarray]:
    """Booleans (groups,) of each place: its best, so many."""
    kept = []
    for place, count in zip(places, counts, strict=True):
        stays = np.zeros(len(place.scores), bool)
        stays[np.argsort(-place.scores, kind="stable")[:count]] = True
        kept.append(stays & (place.scores > 0))
    return kept


def _too_few(places: Sequence[Candidate], least: int) -> UsageError:
    total = sum(place.parameters for place in places)
    highest = int(100 * total / least) / 100
    return UsageError(f"leaves a layer empty; the highest rate here is about {highest:g}")
