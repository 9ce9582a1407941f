"""The page latency/DEVICE.html: gathers what is known of a device's samples and of their predictor."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from hat.architecture.complexity import count_parameters
from hat.architecture.stacks import stacks_of
from hat.experiment.run_directory import RunDirectory
from hat.tasks.task import Task
from latency_predictor.fitting.pace import OFF_PACE, Pace
from latency_predictor.fitting.predictor import LatencyPredictor
from latency_predictor.link.devices import Device
from latency_predictor.on_device.environment import conditions
from latency_predictor.report.device_page import PageData, write_page
from latency_predictor.sampling.history import history_path, read_history
from latency_predictor.sampling.lengths import Lengths, run_lengths
from latency_predictor.sampling.measure import measuring_spec
from latency_predictor.sampling.parts import parts_path, read_parts
from latency_predictor.sampling.sample import LatencySample, quantile_suffix, read_samples, samples_path
from latency_predictor.sampling.selection import stop_reason

TAKEN = 0.05  # a larger share of the time that went to other processes is worth a warning


def write_report(
    run: RunDirectory,
    device: Device,
    quantile: float,
    predictor: LatencyPredictor,
    quality: dict[str, Any],
    measured_ms: np.ndarray,
) -> Path:
    """Write the page of a Device and of the predictor of a quantile of the sentences; returns its path.

    `quality` is that of latency_predictor.fitting.quality.assess, `measured_ms` (samples,) what was fitted.
    """
    path = run.latency / f"{device.name}{quantile_suffix(quantile)}.html"
    samples = read_samples(samples_path(run, device), run.config.search_space)
    lengths, spec = run_lengths(run), measuring_spec(run)
    last, counted = list(run.task.phases.items())[-1]
    series = samples[0].series
    history = read_history(history_path(run, device), series, len(samples))
    parts = [asdict(each) for each in read_parts(parts_path(run, device), series)]
    architectures = [sample.architecture for sample in samples]
    data = PageData(
        title=f"Latency of {run.config.name} on {device.name}",
        facts=_facts(run.task, samples, lengths, quantile),
        warnings=_warnings(samples, Pace.of(samples, run.config.search_space, lengths)),
        quality=quality,
        models=predictor.comparison,
        chosen=predictor.model,
        why=predictor.why,
        measured_ms=tuple(measured_ms.tolist()),
        predicted_ms=tuple(predictor.out_of_fold.tolist()),
        upper_ms=tuple(predictor.out_of_fold_upper.tolist()),
        layers={
            name: tuple(getattr(architecture, name).layers for architecture in architectures)
            for name in stacks_of(run.config.search_space)
        },
        parameters=tuple(count_parameters(architecture, spec)[0] for architecture in architectures),
        reference_ms=tuple(sample.reference_ms.p25 for sample in samples),
        stable=tuple(sample.stable for sample in samples),
        history=tuple(asdict(fit) for fit in history),
        stopped=(history and stop_reason(history, run.config.latency.most_samples)) or "",
        parts=tuple(parts),
        lengths=tuple(parts) if len(lengths.points) > 1 else (),
        corpus_lengths=dict(sorted(Counter(lengths.sentences[last]).items())) if len(lengths.points) > 1 else {},
        counted=counted,
    )
    write_page(path, data)
    return path


def _facts(task: Task, samples: Sequence[LatencySample], lengths: Lengths, quantile: float) -> dict[str, str]:
    """What was measured, where and when."""
    protocol, environment = samples[-1].protocol, samples[-1].environment
    numbers = {"threads": protocol.threads} | protocol.workload
    runs = [protocol.backend, protocol.precision, *(f"{name.replace('_', ' ')}: {of}" for name, of in numbers.items())]
    points = ", ".join(" / ".join(map(str, point)) for point in lengths.points)
    sentence = "the median sentence" if quantile == 0.5 else f"{quantile:.0%} of the sentences"
    facts = {
        "Device": f"{samples[-1].device}: {environment.gpu or environment.cpu}, {environment.cores} cores",
        "Runs": ", ".join(runs),
        "Timed by": {"processor": "the processor's time of one thread", "wall": "the wall clock"}[protocol.clock],
        "A latency is that of": sentence if lengths.count > 1 else "one sentence of fixed length",
        f"Measured at {' / '.join(task.phases.values())}": points,
        "Samples": f"{len(samples)}, from {_minute(samples[0])} to {_minute(samples[-1])}",
        "System": f"{environment.machine}, Python {environment.python}, numpy {environment.numpy}, "
        f"onnxruntime {environment.onnxruntime}" + (f", torch {environment.torch}" if environment.gpu else ""),
    }
    return facts


def _minute(sample: LatencySample) -> str:
    """The UTC time of a sample, such as 2026-11-21 15:24."""
    return sample.environment.time[:16].replace("T", " ")


def _warnings(samples: Sequence[LatencySample], pace: Pace) -> tuple[str, ...]:
    """What may have spoilt the samples, and how many of them."""
    counts: Counter[str] = Counter()
    texts: dict[str, str] = {}
    for sample in samples:
        environment = replace(sample.environment, load=None)  # the load was our own
        for what, _, warning in conditions(environment, sample.protocol.threads):
            if warning:
                counts[what] += 1
                texts[what] = warning
    judged = {
        "did not become stable within the bounds of the protocol": [not sample.stable for sample in samples],
        f"other processes had the processor for more than {TAKEN:.0%} of the time": [
            sample.taken > TAKEN for sample in samples
        ],
        f"the pace was more than {OFF_PACE:.0%} off the samples' median, twice, and is corrected": [
            not pace.is_near(sample) for sample in samples
        ],
    }
    found = [(count, texts[what]) for what, count in counts.items()]
    found += [(int(np.sum(which)), text) for text, which in judged.items() if np.any(which)]
    return tuple(f"{count} of {len(samples)} samples: {text}" for count, text in found)
