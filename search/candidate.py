"""Candidate: an architecture that was scored, with its predicted latency."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from hat.architecture.stacks import Architecture

# Of every loss that a search keeps. In the fingerprints, so that losses kept in another unit are never read as these.
LOSS_UNIT = "nats per target token"

Predict = Callable[[Sequence[Architecture]], np.ndarray]  # -> milliseconds (architectures,)
# (architectures, part of the validation sentences) -> (summed loss in nats, number of tokens) of each
Scores = Callable[[Sequence[Architecture], int], Iterator[tuple[float, int]]]


@dataclass(frozen=True)
class Candidate:
    """`valid_nats` is in nats per target token, with weights inherited from the SuperTransformer."""

    architecture: Architecture
    predicted_ms: float
    valid_nats: float

    def to_dict(self) -> dict[str, Any]:
        """Plain dictionary for JSON."""
        return {
            "architecture": self.architecture.to_dict(),
            "predicted_ms": self.predicted_ms,
            "valid_nats": self.valid_nats,
        }


def best_first(candidate: Candidate) -> tuple[float, float]:
    """Sort key: lowest loss first; of equal losses, the faster."""
    return candidate.valid_nats, candidate.predicted_ms
