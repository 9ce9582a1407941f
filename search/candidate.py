"""Candidate: an architecture that was scored, with its predicted latency."""

from dataclasses import dataclass

from hat.architecture import Architecture


@dataclass(frozen=True)
class Candidate:
    """`valid_nll` is in bits per target token, with weights inherited from the SuperTransformer."""

    architecture: Architecture
    predicted_ms: float
    valid_nll: float

    def to_dict(self):
        """Plain dictionary for JSON."""
        return {
            "architecture": self.architecture.to_dict(),
            "predicted_ms": self.predicted_ms,
            "valid_nll": self.valid_nll,
        }


def best_first(candidate):
    """Sort key: lowest loss first; of equal losses, the faster."""
    return candidate.valid_nll, candidate.predicted_ms
