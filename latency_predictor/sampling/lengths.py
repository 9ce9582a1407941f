"""The lengths of the sentences that a latency is about: the corpus's own, or one fixed pair."""

from collections.abc import Iterable, Sequence
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
    """Pairs of `source` length (tokens, </s> included) and decoding steps `target` (likewise), one for each sentence.

    Where nothing is decoded, all steps are 0. `points` are the pairs at which a device is measured.
    """

    source: tuple[int, ...]
    target: tuple[int, ...]
    points: tuple[tuple[int, int], ...]

    @property
    def middle(self) -> tuple[int, int]:
        """The middle one of the points."""
        return self.points[len(self.points) // 2]

    def quantile_ms(self, encoder_ms: np.ndarray, decoder_ms: np.ndarray, quantile: float) -> np.ndarray:
        """Milliseconds (samples,) that this share of the sentences stay within.

        `encoder_ms` and `decoder_ms` (samples, points) are interpolated, and extended beyond the outer points, in
        straight lines: the encoder's along the source length, the decoder's along its steps.
        """
        source, target = np.array(self.points, dtype=float).T
        encoder = np.asarray(encoder_ms) @ _weights(source, self.source)
        decoder = np.asarray(decoder_ms) @ _weights(target, self.target) if any(self.target) else 0.0
        return np.quantile(encoder + decoder, quantile, axis=1)


def _weights(points: np.ndarray, lengths: Sequence[int]) -> np.ndarray:
    """Matrix (points, lengths) of the weight that each point has in the value interpolated at each length."""
    if len(points) == 1:
        return np.ones((1, len(lengths)))
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
    fixed = run.task.fixed_lengths(run.config)
    if fixed is not None:
        return fixed_lengths(*fixed)
    if stamp(run.data) is None:
        raise ArtifactError(
            f"{run.data} holds no prepared data, whose sentence lengths latencies are about; run hat-prepare, or set "
            f"{' and '.join(run.task.length_keys)} in {run.path / 'config.yaml'}"
        )
    source, target = run.task.corpus_lengths(run.prepared(), SPLIT)
    return Lengths(source, target, _points(source, target))


def fixed_lengths(source_length: int, target_steps: int) -> Lengths:
    """Lengths of which all are the same."""
    return Lengths((source_length,), (target_steps,), ((source_length, target_steps),))


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


def _points(source: Sequence[int], target: Sequence[int]) -> tuple[tuple[int, int], ...]:
    """Pairs at the same quantiles of both sides, rising strictly on both, the steps apart where there are none."""
    points: list[Any] = []
    for quantile in MEASURED_QUANTILES:
        point = tuple(int(np.quantile(side, quantile, method="nearest")) for side in (source, target))
        if not points or (point[0] > points[-1][0] and (point[1] > points[-1][1] or not any(target))):
            points.append(point)
    return tuple(points)
