"""How the predictor's error fell while architectures were measured: one line for each fit."""

from dataclasses import dataclass
from pathlib import Path

from hat import files
from hat.config import from_mapping, to_mapping
from hat.experiment.run_directory import RunDirectory
from latency_predictor.link.devices import Device


@dataclass(frozen=True)
class Fit:
    """A fit to the first `samples` samples of a series: cross-validated `mape`, `margin` of the upper bound near the
    budgets, both found from the `at_random` samples that were drawn so. An earlier version named no series; such a fit
    may be of samples that are gone.
    """

    samples: int
    model: str
    mape: float
    margin: float
    at_random: int = 0
    series: str | None = None


def history_path(run: RunDirectory, device: Device) -> Path:
    """Where the fits are kept in a run directory: not beside the samples, whose files name the measured devices."""
    return run.latency / "history" / f"{device.name}.jsonl"


def read_history(path: Path, series: str | None, most_samples: int) -> list[Fit]:
    """The Fits of a JSON-lines file to at most `most_samples` samples of the `series`, one for each number.

    [] if there are none, as where the samples were moved away and others measured.
    """
    rows = enumerate(files.read_json_lines(path), start=1)
    kept = [from_mapping(Fit, row, f"{path}, line {number}") for number, row in rows]
    fits = {fit.samples: fit for fit in kept if series is not None and fit.series == series}
    return [fits[samples] for samples in sorted(fits) if samples <= most_samples]


def append_fit(path: Path, fit: Fit) -> None:
    """Keep a Fit."""
    files.append_json_line(path, to_mapping(fit))
