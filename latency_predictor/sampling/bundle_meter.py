"""The latency of bundles as their user sees it on a device: what evaluations tell of them."""

import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hat import files
from hat.config import to_mapping
from hat.deploy.bundle import DESCRIPTION
from hat.experiment.run_directory import FULL, RunDirectory
from latency_predictor.latency import Latency
from latency_predictor.link.devices import load_device, why_not, with_precision
from latency_predictor.sampling.turns import latencies_of

LATENCY_KEYS = {0.5: "latency", 0.9: "latency_p90"}  # of an evaluation, by the quantile of the sentences


class BundleMeter:
    """Measures bundles on the device of that name (default: the one last measured in the run).

    All take turns, the run's full-size bundle of the same precision among them where it has one, so that speed-ups and
    shares of a budget are of the same minute: a machine's pace may change by a third until the next.
    """

    def __init__(self, run: RunDirectory, device_name: str | None = None) -> None:
        self._run = run
        self._device = load_device(device_name or run.last_measured_device())

    def inputs(self, precision: str) -> Any:
        """What latencies of bundles of this precision depend on beside the bundle."""
        full = self._full_size(precision)
        return [to_mapping(self._device), full and files.sha256_of_file(full / DESCRIPTION)]

    def why_not(self, precision: str) -> str | None:
        """Why the device runs no bundles of this precision; None if it does."""
        return why_not(self._device, precision)

    def measure(self, bundles: Sequence[tuple[Path, str]]) -> list[dict[str, Any]]:
        """Latency keys of an evaluation for each (folder, precision), which the device can run.

        Those that were timed together have the same `latency_rounds`.
        """
        precisions = {precision for _, precision in bundles}
        full_size = {precision: full for precision in precisions if (full := self._full_size(precision))}
        folders = list(dict.fromkeys([*(folder for folder, _ in bundles), *full_size.values()]))
        latencies = latencies_of(self._run, self._device, folders, list(LATENCY_KEYS))
        timed, rounds = dict(zip(folders, latencies, strict=True)), {"latency_rounds": secrets.token_hex(8)}
        return [
            self._described(precision, timed[folder], timed.get(full_size.get(precision))) | rounds
            for folder, precision in bundles
        ]

    def _full_size(self, precision: str) -> Path | None:
        bundle = self._run.export(FULL) / precision
        return bundle if (bundle / DESCRIPTION).exists() else None

    def _described(
        self, precision: str, timed: tuple[list[Latency], bool], full: tuple[list[Latency], bool] | None
    ) -> dict[str, Any]:
        latencies, text = timed
        described: dict[str, Any] = {}
        for prefix, found in (("", latencies), ("full_", full[0] if full else [None] * len(latencies))):
            for name, latency in zip(LATENCY_KEYS.values(), found, strict=True):
                described[f"{prefix}{name}_ms"] = latency and latency.ms
                described[f"{prefix}{name}_range_ms"] = latency and [latency.low_ms, latency.high_ms]
        return described | {
            "latency_taken": latencies[0].taken,
            "latency_busy": latencies[0].busy,
            "latency_with_text": text,
            "device": with_precision(self._device, precision).name,
        }
