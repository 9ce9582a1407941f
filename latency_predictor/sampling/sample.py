"""LatencySample: one measured architecture, how it was measured, and in what circumstances."""

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from hat import files
from hat.architecture.space import SearchSpace
from hat.architecture.stacks import Architecture
from hat.config import from_mapping, to_mapping
from hat.errors import ArtifactError, UsageError
from hat.experiment.run_directory import RunDirectory
from latency_predictor.link.devices import Device
from latency_predictor.on_device.environment import Environment
from latency_predictor.on_device.timing import Timing
from latency_predictor.sampling.earlier_rows import sample_row
from latency_predictor.sampling.lengths import Lengths

VERSION = 2  # of the protocol: samples of another one can't be compared


@dataclass(frozen=True)
class Protocol:
    """What was timed: samples are comparable only if these are equal.

    One batch of `batch` sentences, at several `lengths` of each phase of the task and what else its `workload` says,
    beside the `reference` architecture (its short hash, and its precision where that is another one). By the `clock`
    "processor" moments in which other processes had the processor don't count.
    """

    version: int
    backend: str
    accelerator: str
    precision: str
    threads: int
    batch: int
    lengths: dict[str, tuple[int, ...]]
    workload: dict[str, int]
    reference: str
    clock: Literal["processor", "wall"]

    def difference(self, other: "Protocol") -> str | None:
        """The first field in which `other` differs, as 'beam 4 instead of 5'; None if they are equal."""
        ours, theirs = ({**vars(each), **each.workload} for each in (self, other))
        for name in ours | theirs:
            if name != "workload" and theirs.get(name) != ours.get(name):
                return f"{name} {_plain(theirs.get(name))} instead of {_plain(ours.get(name))}"
        return None


def _plain(value: Any) -> Any:
    """A field's value as a text: lengths as 'encode 4, 10 and decode 3, 9'."""
    if isinstance(value, dict):
        return " and ".join(f"{name} {', '.join(map(str, each))}" for name, each in value.items())
    return value


@dataclass(frozen=True)
class LengthTiming:
    """Milliseconds for a sentence of one length: of each phase of the task, and of all of it."""

    lengths: dict[str, int]
    phases_ms: dict[str, Timing]
    total_ms: Timing

    def scaled(self, factor: float) -> "LengthTiming":
        """All milliseconds times `factor`."""
        phases_ms = {name: timing.scaled(factor) for name, timing in self.phases_ms.items()}
        return replace(self, phases_ms=phases_ms, total_ms=self.total_ms.scaled(factor))


@dataclass(frozen=True)
class LatencySample:
    """A measured architecture.

    The reference architecture took `reference_ms.p25` meanwhile: see fitting.pace. `stable` says whether
    the confidence interval became as narrow as the protocol wants, `taken` which share of the time other processes had
    the processor. `visits` counts how often the architecture was measured, of which this is the one that counts.
    `at_random` tells one whose architecture was drawn at random from one that was chosen: because it is extreme, or
    because a predictor was unsure of it; an earlier version didn't say. `series` names the samples that were collected
    together: what is derived from them and kept elsewhere says it, too.
    """

    architecture: Architecture
    device: str
    protocol: Protocol
    lengths: tuple[LengthTiming, ...]
    reference_ms: Timing
    stable: bool
    taken: float
    environment: Environment
    visits: int = 1
    at_random: bool | None = None
    series: str | None = None

    def scaled(self, factor: float) -> "LatencySample":
        """This sample with the architecture's milliseconds times `factor`."""
        return replace(self, lengths=tuple(at.scaled(factor) for at in self.lengths))

    def timing(self, lengths: Lengths, quantile: float = 0.5) -> Timing:
        """Timing of the `quantile` of sentences among `lengths`: what budgets are about.

        Spread and confidence are, relatively, those measured at the middle length.
        """
        latency_ms = float(latencies_ms([self], lengths, quantile)[0])
        middle = self.lengths[len(self.lengths) // 2].total_ms
        return middle.scaled(latency_ms / middle.p25)

    def to_dict(self) -> dict[str, Any]:
        """Plain dictionary for JSON."""
        return to_mapping(self)

    @classmethod
    def from_dict(cls, mapping: Any, where: str = "sample") -> "LatencySample":
        """Inverse of `to_dict`; raises UsageError naming the key that is wrong."""
        return from_mapping(cls, mapping, where)


def latencies_ms(samples: Sequence[LatencySample], lengths: Lengths, quantile: float = 0.5) -> np.ndarray:
    """Milliseconds (samples,) that the `quantile` of the sentences among `lengths` stay within."""
    phases_ms = {
        phase: np.array([[at.phases_ms[phase].p25 for at in sample.lengths] for sample in samples])
        for phase in lengths.sentences
    }
    return lengths.quantile_ms(phases_ms, quantile)


def samples_path(run: RunDirectory, device: Device) -> Path:
    """Where the samples of a device are kept in a run directory."""
    return run.latency / f"{device.name}.jsonl"


def quantile_suffix(quantile: float) -> str:
    """What tells files about this quantile of the sentences apart: '' for the median, '.p90'."""
    return "" if quantile == 0.5 else f".p{quantile * 100:g}"


def predictor_directory(run: RunDirectory, device: Device, quantile: float = 0.5) -> Path:
    """Where the predictor of a quantile of the sentences is kept in a run directory."""
    return run.latency / f"{device.name}{quantile_suffix(quantile)}.predictor"


def write_samples(path: Path, samples: Iterable[LatencySample]) -> None:
    """Replace a file by these LatencySamples in one step."""
    files.write_text(path, "".join(json.dumps(sample.to_dict(), ensure_ascii=False) + "\n" for sample in samples))


def read_samples(path: Path, space: SearchSpace, protocol: Protocol | None = None) -> list[LatencySample]:
    """The LatencySamples of a JSON-lines file ([] if there is none), the last one of each architecture.

    A sample of a device may come from a copy of the file that another name gave. Raises ArtifactError, naming the
    line, for a sample that is damaged, of another search space, or measured otherwise than `protocol` says (without
    one, than the file's first sample).
    """
    samples = {}
    for number, row in enumerate(files.read_json_lines(path), start=1):
        where = f"{path}, line {number}"
        sample = _read_sample(row, where)
        if sample.architecture not in space:
            raise ArtifactError(f"{where}: measured in another search space; move the file away and measure again")
        protocol = protocol or sample.protocol
        difference = protocol.difference(sample.protocol)
        if difference:
            raise ArtifactError(f"{where}: measured with {difference}; move the file away and measure again")
        samples[sample.architecture] = sample
    return list(samples.values())


def _read_sample(row: Any, where: str) -> LatencySample:
    protocol = row.get("protocol") if isinstance(row, dict) else None
    if isinstance(protocol, dict) and protocol.get("version", 1) != VERSION:
        version = protocol.get("version", 1)
        raise ArtifactError(
            f"{where}: measured with protocol version {version} instead of {VERSION}; move the file away and measure "
            "again"
        )
    try:
        sample = LatencySample.from_dict(sample_row(row), where)
        _check_times(sample, where)
    except UsageError as error:
        raise ArtifactError(f"{error}; remove that line and measure again") from None
    return sample


def _check_times(sample: LatencySample, where: str) -> None:
    """Raise UsageError for a time that nothing can have taken."""
    times = {"reference_ms": sample.reference_ms}
    for at in sample.lengths:
        text = f"at {_plain({name: (length,) for name, length in at.lengths.items()})}"
        times |= {f"phases_ms.{name} {text}": timing for name, timing in at.phases_ms.items()}
        times[f"total_ms {text}"] = at.total_ms
    for name, timing in times.items():
        if not 0 < timing.p25 < math.inf:
            raise UsageError(f"{where}: {name} is {timing.p25}, not a positive number")
