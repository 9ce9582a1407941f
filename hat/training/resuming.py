"""A training that goes on in other circumstances: another number of processes, another precision."""

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from hat.training.batches import UpdateBatches

PRECISION = "precision"


def circumstances(batches: UpdateBatches, precision: str) -> dict[str, Any]:
    """What a checkpoint records of them, as plain values."""
    return asdict(batches) | {PRECISION: precision}


def position_among(
    batches: UpdateBatches, position: dict[str, Any], before: dict[str, Any], length: int
) -> dict[str, Any]:
    """The iterator's `position` of a checkpoint with the circumstances `before`, after as many updates of `batches`.

    `length` is how many batches the epoch has in this process; the position is before its end.
    """
    updates = position.get("iterations_in_epoch", 0) // before["count"]
    return {**position, "iterations_in_epoch": min(updates * batches.count, length - 1)}


def remarks(title: str, update: int, before: dict[str, Any], now: dict[str, Any]) -> Iterator[str]:
    """Lines that say what is other than before, both circumstances."""
    if before[PRECISION] != now[PRECISION]:
        yield f"warning: {title}: trained in {before[PRECISION]} up to update {update}, goes on in {now[PRECISION]}"
    earlier, later = (UpdateBatches(**{k: v for k, v in each.items() if k != PRECISION}) for each in (before, now))
    if earlier.processes == later.processes:
        return
    same = earlier.tokens == later.tokens and earlier.processes * earlier.count == later.processes * later.count
    outcome = "with the same batches, so the same to rounding" if same else "in batches of other sizes"
    yield f"{title}: {earlier.processes} processes came to update {update}, {later.processes} go on {outcome}"
