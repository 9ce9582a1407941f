"""What criteria and tasks log of an update, summed over its batches and processes."""

import math
from collections.abc import Iterable, Sequence
from typing import Any

from fairseq.logging import metrics


def log_losses(logging_outputs: Sequence[dict[str, Any]], names: Iterable[str], items: float) -> None:
    """Log the sums of nats of these names as means over so many `items`, in bits, as fairseq has all losses."""
    for name in names:
        total = sum(output[name] for output in logging_outputs)
        metrics.log_scalar(name, total / items / math.log(2), items)
