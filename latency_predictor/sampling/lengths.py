"""The lengths of the sentences that a latency is about: the corpus's own, or one fixed pair."""

from dataclasses import dataclass

import numpy as np

from hat.data.translation.prepared import PreparedData
from hat.errors import ArtifactError, UsageError
from hat.experiment.run_directory import stamp

SPLIT = "valid"  # the sentences most like those to be translated
MEASURED_QUANTILES = (0.1, 0.5, 0.9)


@dataclass(frozen=True)
class Lengths:
    """Pairs of `source` length (tokens, </s> included) and decoding steps `target` (likewise), one for each sentence.

    `points` are the pairs at which a device is measured.
    """

    source: tuple[int, ...]
    target: tuple[int, ...]
    points: tuple[tuple[int, int], ...]

    @property
    def middle(self):
        """The middle one of the points."""
        return self.points[len(self.points) // 2]

    def quantile_ms(self, encoder_ms, decoder_ms, quantile):
        """Milliseconds (samples,) that this share of the sentences stay within.

        `encoder_ms` and `decoder_ms` (samples, points) are interpolated, and extended beyond the outer points, in
        straight lines: the encoder's along the source length, the decoder's along its steps.
        """
        source, target = np.array(self.points, dtype=float).T
        encoder = np.asarray(encoder_ms) @ _weights(source, self.source)
        decoder = np.asarray(decoder_ms) @ _weights(target, self.target)
        return np.quantile(encoder + decoder, quantile, axis=1)


def _weights(points, lengths):
    """Matrix (points, lengths) of the weight that each point has in the value interpolated at each length."""
    if len(points) == 1:
        return np.ones((1, len(lengths)))
    lengths = np.asarray(lengths, dtype=float)
    right = np.clip(np.searchsorted(points, lengths), 1, len(points) - 1)
    share = (lengths - points[right - 1]) / (points[right] - points[right - 1])
    weights = np.zeros((len(points), len(lengths)))
    columns = np.arange(len(lengths))
    weights[right - 1, columns] = 1 - share
    weights[right, columns] = share
    return weights


def run_lengths(run):
    """The Lengths of a RunDirectory: as its config's latency section fixes them, else those of the prepared data.

    Raises ArtifactError if the data that is needed isn't prepared.
    """
    config = run.config.latency
    if config.source_length is not None:
        return fixed_lengths(config.source_length, config.target_steps)
    if stamp(run.data) is None:
        raise ArtifactError(
            f"{run.data} holds no prepared data, whose sentence lengths latencies are about; run hat-prepare, or set "
            f"latency.source_length and latency.target_steps in {run.path / 'config.yaml'}"
        )
    return _corpus_lengths(PreparedData(run.data))


def fixed_lengths(source_length, target_steps):
    """Lengths of which all are the same."""
    return Lengths((source_length,), (target_steps,), ((source_length, target_steps),))


def check_quantiles(latency_config, budgets):
    """Raise UsageError if a LatencyBudget is about a quantile of lengths that the config makes all the same."""
    for budget in budgets:
        if budget.quantile != 0.5 and latency_config.source_length is not None:
            raise UsageError(
                f"latency budget {budget.text} needs the corpus's sentence lengths, but the config fixes one length; "
                "set latency.source_length and latency.target_steps to null"
            )


def _corpus_lengths(prepared):
    from hat.data.tokenizer import Tokenizer

    sides = []
    for lang, lines in zip((prepared.source_lang, prepared.target_lang), prepared.raw(SPLIT), strict=True):
        tokenizer = Tokenizer(prepared.sentencepiece(lang))
        sides.append(tuple(len(tokens) + 1 for tokens in tokenizer.encode(lines)))
    return Lengths(*sides, _points(*sides))


def _points(source, target):
    """Pairs at the same quantiles of both sides, rising strictly on both."""
    points = []
    for quantile in MEASURED_QUANTILES:
        point = tuple(int(np.quantile(side, quantile, method="nearest")) for side in (source, target))
        if not points or (point[0] > points[-1][0] and point[1] > points[-1][1]):
            points.append(point)
    return tuple(points)
