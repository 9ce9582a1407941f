"""In which quantity tables and charts show a loss: in nats as it is, or as the perplexity that follows from it."""

import math
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class LossScale:
    """`value(nats)` is what is shown: `name` in a sentence, `head` over a column, `label` along an axis."""

    name: str
    head: str
    label: str
    format: str
    value: Callable[[float], float]

    def text(self, nats: float) -> str:
        """What is shown of a loss, with its unit."""
        return self.format.format(self.value(nats))


NATS = LossScale("loss", "nats/token", "validation loss (nats)", "{:.4f} nats", float)
PERPLEXITY = LossScale("perplexity", "perplexity", "validation perplexity", "perplexity {:.2f}", math.exp)
