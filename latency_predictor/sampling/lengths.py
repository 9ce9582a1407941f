"""The lengths of the sentences that a latency is about: the corpus's own, or one fixed for each phase."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from hat.errors import ArtifactError, UsageError
from hat.experiment.run_directory import RunDirectory, stamp
from latency_predictor.budget import LatencyBudget

SPLIT = "valid"  # the sentences most like those to be translated
MEASURED_QUANTILES = (0.1, 0.5, 0.9)


@dataclass(frozen=True)
class Lengths:
    """{phase: a length for each sentence} of a task's phases, in their order.

    `points`, with a length for each phase, are those at which a device is measured. A latency is the time of all phases
    divided by `shares`: see Task.latency_shares.
    """

    sentences: dict[str, tuple[int, ...]]
    points: tuple[tuple[int, ...], ...]
    shares: int = 1

    @property
    def count(self) -> int:
        """How many sentences there are."""
        return len(next(iter(self.sentences.values())))

    @property
    def middle(self) -> tuple[int, ...]:
        """The middle one of the points."""
        return self.points[len(self.points) // 2]

    def quantile_ms(self, phases_ms: Mapping[str, np.ndarray], quantile: float) -> np.ndarray:
        """Milliseconds (samples,) that this share of the sentences stay within.

        Those of each phase (samples, points) are interpolated, and extended beyond the outer points, in straight lines
        along the phase's own lengths.
        """
        total: Any = 0.0
        for (phase, lengths), points in zip(self.sentences.items(), np.array(self.points, float).T, strict=True):
            total = total + np.asarray(phases_ms[phase]) @ _weights(points, lengths)
        return np.quantile(total, quantile, axis=1) / self.shares


def _weights(points: np.ndarray, lengths: Sequence[int]) -> np.ndarray:
    """Matrix (points, lengths) of the weight that each point has in the value interpolated at each length."""
    if points[0] == points[-1]:
        return np.full((len(points), len(lengths)), 1 / len(points))
    places = np.asarray(lengths, dtype=float)
    right = np.clip(np.searchsorted(points, places), 1, len(points) - 1)
    share = (places - points[right - 1]) / (points[right] - points[right - 1])
    weights = np.zeros((len(points), len(lengths)))
    columns = np.arange(len(lengths))
    weights[right - 1, columns] = 1 - share
    weights[right, columns] = share
    return weights


def run_lengths(run: RunDirectory) -> Lengths:
    """The Lengths of a RunDirectory: as its config's latency section fixes them, else those of the prepared data.

    Raises ArtifactError if the data that is needed isn't prepared.
    """
    fixed, shares = run.task.fixed_lengths(run.config), run.task.latency_shares(run.config)
    if fixed is not None:
        return fixed_lengths(dict(zip(run.task.phases, fixed, strict=True)), shares)
    if stamp(run.data) is None:
        raise ArtifactError(
            f"{run.data} holds no prepared data, whose sentence lengths latencies are about; run hat-prepare, or set "
            f"{' and '.join(run.task.length_keys)} in {run.path / 'config.yaml'}"
        )
    sides = run.task.corpus_lengths(run.config, run.prepared(), SPLIT)
    return Lengths(dict(zip(run.task.phases, sides, strict=True)), _points(sides), shares)


def fixed_lengths(lengths: Mapping[str, int], shares: int = 1) -> Lengths:
    """Lengths of which all are the same, {phase: length}."""
    return Lengths({phase: (length,) for phase, length in lengths.items()}, (tuple(lengths.values()),), shares)


def check_quantiles(run: RunDirectory, budgets: Iterable[LatencyBudget]) -> None:
    """Raise UsageError if a LatencyBudget is about a quantile of lengths that the config makes all the same."""
    if run.task.fixed_lengths(run.config) is None:
        return
    for budget in budgets:
        if budget.quantile != 0.5:
            keys = run.task.length_keys
            raise UsageError(
                f"latency budget {budget.text} needs the corpus's sentence lengths, but the config fixes one length; "
                f"set {' and '.join(keys)} to null"
            )


def _points(sides: Sequence[Sequence[int]]) -> tuple[tuple[int, ...], ...]:
    """Points at the same quantiles of all sides, rising strictly on each that isn't the same for all sentences."""
    points: list[tuple[int, ...]] = []
    varied = [number for number, side in enumerate(sides) if min(side) < max(side)]
    for quantile in MEASURED_QUANTILES:
        point = tuple(int(np.quantile(side, quantile, method="nearest")) for side in sides)
        if not points or (varied and all(point[side] > points[-1][side] for side in varied)):
            points.append(point)
    return tuple(points)
