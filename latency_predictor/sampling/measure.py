"""Measurer: the latency of an architecture on a device, measured on what would be deployed."""

import functools
import sys
from collections.abc import Sequence
from typing import Any

from hat.architecture.complexity import Spec
from hat.architecture.space import SearchSpace
from hat.architecture.stacks import Architecture
from hat.config import to_mapping
from hat.experiment.run_directory import RunDirectory, stamp
from hat.experiment.sections import LatencyConfig
from hat.files import fingerprint
from hat.tasks.task import Task
from latency_predictor.fitting.pace import Pace
from latency_predictor.link.devices import Device
from latency_predictor.on_device.timing import clock_name
from latency_predictor.sampling.lengths import Lengths, run_lengths
from latency_predictor.sampling.sample import VERSION, LatencySample, Protocol, read_samples, samples_path

ATTEMPTS = 2  # at a sample that doesn't become stable
REFERENCE_PRECISION = "fp32"  # beside every precision, so that a device's pace is one for all of them


def measuring_spec(run: RunDirectory) -> Any:
    """The spec to measure with: the prepared data's vocabulary, else the one that the config announces."""
    return run.task.announced_spec(run.config) if stamp(run.data) is None else run.spec()


def reference_architecture(space: SearchSpace) -> Architecture:
    """The architecture that is measured beside all others: the middle choice of every gene."""
    return space.decode([len(gene.choices) // 2 for gene in space.genes])


def protocol_of(run: RunDirectory, device: Device, spec: Spec, lengths: Lengths) -> Protocol:
    """The Protocol of samples that are taken on `device` in this run."""
    reference = fingerprint(reference_architecture(run.config.search_space).to_dict())[:12]
    return Protocol(
        version=VERSION,
        backend=device.backend,
        accelerator=device.accelerator,
        precision=device.precision,
        threads=device.threads,
        batch=1,
        lengths=dict(zip(lengths.sentences, zip(*lengths.points, strict=True), strict=True)),
        workload=run.task.workload(spec, run.config.latency),
        reference=reference if device.precision == REFERENCE_PRECISION else f"{reference}.{REFERENCE_PRECISION}",
        clock=clock_name(device.threads, device.accelerator),
    )


class Measurer:
    """Times architectures, with random weights, on a Device as a run's config says; no trained model is needed.

    Use as a context manager: the device is taken up by the first measurement and let go at the end. Measuring raises
    DeviceError for a device that can't be used, StorageError where its disk is full.
    """

    def __init__(self, run: RunDirectory, device: Device) -> None:
        self._run, self.device = run, device
        self._spec = measuring_spec(run)
        self.lengths = run_lengths(run)
        self.protocol = protocol_of(run, device, self._spec, self.lengths)
        self._bench: Any = None

    def __enter__(self) -> "Measurer":
        return self

    def __exit__(self, *_: object) -> None:
        if self._bench is not None:
            self._bench.close()

    def measure(self, architecture: Architecture, spec: Spec | None = None) -> LatencySample:
        """The LatencySample of an Architecture, in a model of that `spec` if one is given, else of the run's.

        One that doesn't become stable is measured again; the steadier one counts.
        """
        if self._bench is None:
            self._bench = self._make_bench()
        samples: list[LatencySample] = []
        for _ in range(ATTEMPTS):
            samples.append(self._sample(architecture, self._bench.time(architecture, spec or self._spec)))
            if samples[-1].stable:
                break
        return min(samples, key=lambda sample: sample.timing(self.lengths).half_width)

    def measure_paced(self, architecture: Architecture, spec: Spec | None = None) -> LatencySample:
        """What `measure` gives, as it would be at the median pace of the device's samples.

        As it was measured where there are none, or only some that were measured otherwise.
        """
        sample = self.measure(architecture, spec)
        return sample if self._pace is None else self._pace.even(sample)

    @functools.cached_property
    def _pace(self) -> Pace | None:
        space = self._run.config.search_space
        samples = read_samples(samples_path(self._run, self.device), space)
        if not samples or self.protocol.difference(samples[0].protocol):
            return None
        return Pace.of(samples, space, self.lengths)

    def _sample(self, architecture: Architecture, timed: dict[str, Any]) -> LatencySample:
        described = {"architecture": architecture.to_dict(), "device": self.device.name}
        return LatencySample.from_dict({**described, "protocol": to_mapping(self.protocol), **timed})

    def _make_bench(self) -> Any:
        reference = reference_architecture(self._run.config.search_space), self._spec
        arguments = (self.device, self._run.task, self._run.config.latency, self.lengths.points, reference)
        if self.device.backend == "torch":
            from latency_predictor.sampling.torch_backend import TorchBench

            return TorchBench(*arguments)
        return AgentBench(*arguments)


class AgentBench:
    """Has the agent on a device, here or elsewhere, time the deployed graphs.

    Every architecture is timed at each of the `points`, which hold a length for each of the Task's phases, on what the
    Task says, beside the `reference`, an (Architecture, spec).
    """

    def __init__(
        self,
        device: Device,
        task: Task,
        latency_config: LatencyConfig,
        points: Sequence[Sequence[int]],
        reference: tuple[Architecture, Spec],
    ) -> None:
        from latency_predictor.link.connection import Connection

        self._device, self._task, self._latency_config = device, task, latency_config
        setup = {
            "task": task.name,
            "workload": task.workload(reference[1], latency_config),
            "repeats": latency_config.repeats,
            "phases": list(task.phases),
            "points": [list(point) for point in points],
            "reference": self._skeleton(*reference, REFERENCE_PRECISION),
        }
        self._connection = Connection(device, setup)
        for warning in self._connection.ready["warnings"]:
            print(f"warning: {device.name}: {warning}", file=sys.stderr)

    def time(self, architecture: Architecture, spec: Spec) -> dict[str, Any]:
        """The lengths, reference_ms, stable, taken and environment of a LatencySample, as a dictionary."""
        subject = self._skeleton(architecture, spec, self._device.precision)
        reply = self._connection.ask({"type": "measure", "subject": subject})
        return {name: value for name, value in reply.items() if name != "type"}

    def close(self) -> None:
        self._connection.close()

    def _skeleton(self, architecture: Architecture, spec: Spec, precision: str) -> dict[str, Any]:
        from latency_predictor.sampling.skeleton import make_skeleton

        return make_skeleton(self._task, architecture, spec, precision, self._latency_config)
