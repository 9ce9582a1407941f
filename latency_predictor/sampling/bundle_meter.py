"""The latency of a bundle as its user sees it on a device: what an evaluation tells of it."""

from pathlib import Path
from typing import Any

from hat.config import to_mapping
from hat.experiment.run_directory import RunDirectory
from latency_predictor.link.devices import load_device, why_not, with_precision
from latency_predictor.sampling.real_calls import latencies_of

QUANTILES = (0.5, 0.9)


class BundleMeter:
    """Measures bundles on the device of that name (default: the one last measured in the run)."""

    def __init__(self, run: RunDirectory, device_name: str | None = None) -> None:
        self._run = run
        self._device = load_device(device_name or run.last_measured_device())

    def inputs(self) -> Any:
        """What latencies depend on beside the bundle."""
        return to_mapping(self._device)

    def why_not(self, precision: str) -> str | None:
        """Why the device runs no bundles of this precision; None if it does."""
        return why_not(self._device, precision)

    def measure(self, bundle: Path, precision: str) -> dict[str, Any]:
        """Latency keys of an evaluation, for the bundle in a folder, which the device can run."""
        device = with_precision(self._device, precision)
        (median, p90), text = latencies_of(self._run, device, bundle, QUANTILES)
        return {
            "latency_ms": median.ms,
            "latency_range_ms": [median.low_ms, median.high_ms],
            "latency_p90_ms": p90.ms,
            "latency_p90_range_ms": [p90.low_ms, p90.high_ms],
            "latency_taken": median.taken,
            "latency_busy": median.busy,
            "latency_with_text": text,
            "device": self._device.name,
        }
