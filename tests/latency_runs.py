"""Run directories and made-up latency samples for tests of the latency predictor."""

import dataclasses

import yaml
from search_toys import CONFIG, latency

from hat.experiment.run_directory import RunDirectory
from hat.files import append_json_line
from latency_predictor.link.devices import load_device
from latency_predictor.on_device.environment import read_environment
from latency_predictor.on_device.timing import Timing
from latency_predictor.sampling.lengths import run_lengths
from latency_predictor.sampling.measure import measuring_spec, protocol_of
from latency_predictor.sampling.sample import LatencySample, LengthTiming, samples_path
from latency_predictor.sampling.selection import planned_architectures

SETTINGS = {
    "samples": 12,
    "source_length": 4,
    "target_steps": 3,
    "beam": 2,
    "repeats": 2,
    "vocabulary_size": 20,
}
REFERENCE_MS = 8.0
SERIES = "a series"  # of made-up samples in files
FIXED = 3  # planned architectures that are not drawn at random: the smallest, the largest, the full-size one


def make_run(folder, **settings):
    """A RunDirectory in `folder`, without data or weights; `settings` change its latency section."""
    config = folder / "toy.yaml"
    config.write_text(yaml.safe_dump(CONFIG | {"latency": SETTINGS | settings}), encoding="utf-8")
    return RunDirectory.create(config, folder / "run")


def timing(milliseconds, half_width=0.0):
    """A Timing of runs that took the same, give or take `half_width`, a share of it, wherever a spread is given."""
    low, high = milliseconds * (1 - half_width), milliseconds * (1 + half_width)
    return Timing(p25=milliseconds, median=milliseconds, p10=low, p90=high, ci_low=low, ci_high=high, count=1)


def made_up_sample(run, architecture, milliseconds, device_name="cpu", pace=1.0, **protocol):
    """A LatencySample as a measurement in `run` would give it, the device being `pace` times as slow as mostly.

    `protocol` changes fields of its Protocol.
    """
    device, lengths = load_device(device_name), run_lengths(run)
    its = protocol_of(run, device, measuring_spec(run), lengths)
    phases = list(run.task.phases)
    *parts, total = (timing(share * milliseconds * pace) for share in (0.2, 0.8, 1.0))
    return LatencySample(
        architecture=architecture,
        device=device.name,
        protocol=dataclasses.replace(its, **protocol),
        lengths=(
            LengthTiming(dict(zip(phases, lengths.middle, strict=True)), dict(zip(phases, parts, strict=True)), total),
        ),
        reference_ms=timing(REFERENCE_MS * pace),
        stable=True,
        taken=0.0,
        environment=read_environment(),
    )


def write_samples(run, count, device_name="cpu"):
    """Append made-up samples of the first `count` planned architectures; returns their path."""
    path = samples_path(run, load_device(device_name))
    for index, architecture in enumerate(planned_architectures(run.config.search_space, run.config.seed, count)):
        sample = made_up_sample(run, architecture, latency(architecture), device_name)
        append_json_line(path, dataclasses.replace(sample, at_random=index >= FIXED, series=SERIES).to_dict())
    return path


class MadeUpMeasurer:
    """Takes the place of Measurer: its kinds make up the samples (`sample_of`), here one counts and can be interrupted.

    `measured` are the architectures in their order. `gone` raises KeyboardInterrupt instead of that measurement.
    """

    def __init__(self, run, gone=None):
        self.lengths, self.measured = run_lengths(run), []
        self._run, self._gone = run, gone
        self.protocol = protocol_of(run, load_device("cpu"), measuring_spec(run), self.lengths)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def measure(self, architecture):
        if len(self.measured) == self._gone:
            raise KeyboardInterrupt
        sample = self.sample_of(architecture)
        self.measured.append(architecture)
        return sample
