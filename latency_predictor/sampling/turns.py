"""The latencies of bundles that take turns in several rounds, all at one pace of the machine."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from hat.experiment.run_directory import RunDirectory
from latency_predictor.latency import Latency, of_rounds
from latency_predictor.link.devices import Device
from latency_predictor.on_device.call_bench import BLOCK
from latency_predictor.sampling.real_calls import Calls, RealCalls

ROUNDS = 5


def latencies_of(
    run: RunDirectory, device: Device, bundles: Sequence[Path], quantiles: Sequence[float]
) -> list[tuple[list[Latency], bool]]:
    """([Latency of each quantile], whether text is in them) of the bundle in each of these folders.

    They are of calls `at_one_pace`; their range is that of the rounds as they were.
    """
    with RealCalls(run, device, max(quantiles)) as real_calls:
        rounds = [real_calls.time(bundles) for _ in range(ROUNDS)]
    paced = at_one_pace(np.array([[calls.calls_ms for calls in found] for found in rounds]))
    return [
        ([_latency(found, paced[:, which], quantile) for quantile in quantiles], found[0].text)
        for which, found in enumerate(zip(*rounds, strict=True))
    ]


def at_one_pace(calls_ms: np.ndarray) -> np.ndarray:
    """Milliseconds of calls, (rounds, bundles, sentences), as if the machine's pace hadn't changed from round to round.

    In each round the bundles take turns after a block of sentences, and so live through much the same pace, which may
    be half as fast again a second later. How fast a block was is the median over the bundles of what it took beside the
    middle one of its rounds; all its calls are divided by that. So latencies of different bundles can be compared, and
    a call that something delayed stays as slow as it was.
    """
    starts = np.arange(0, calls_ms.shape[-1], BLOCK)
    blocks = np.add.reduceat(calls_ms, starts, axis=-1)
    pace = np.median(blocks / np.median(blocks, axis=0), axis=1)  # (rounds, blocks)
    return calls_ms / np.repeat(pace, BLOCK, axis=-1)[:, None, : calls_ms.shape[-1]]


def _latency(rounds: Sequence[Calls], paced_ms: np.ndarray, quantile: float) -> Latency:
    """The Latency of one bundle; `paced_ms` are its calls (rounds, sentences) at one pace."""
    seen = of_rounds([calls.latency(quantile) for calls in rounds])
    ms = float(np.median(np.quantile(paced_ms, quantile, axis=-1)))
    return replace(seen, ms=ms, low_ms=min(seen.low_ms, ms), high_ms=max(seen.high_ms, ms))
