"""Candidate: an architecture that was scored, with its predicted latency."""

from dataclasses import dataclass

from hat.architecture.stacks import Architecture

# Of every loss that a search keeps. In the fingerprints, so that losses kept in another unit are never read as these.
LOSS_UNIT = "nats per target token"


@dataclass(frozen=True)
class Candidate:
    """`valid_nats` is in nats per target token, with weights inherited from the SuperTransformer."""

    architecture: Architecture
    predicted_ms: float
    valid_nats: float

    def to_dict(self):
        """Plain dictionary for JSON."""
        return {
            "architecture": self.architecture.to_dict(),
            "predicted_ms": self.predicted_ms,
            "valid_nats": self.valid_nats,
        }


def best_first(candidate):
    """Sort key: lowest loss first; of equal losses, the faster."""
    return candidate.valid_nats, candidate.predicted_ms
