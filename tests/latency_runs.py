"""Run directories and made-up latency samples for tests of the latency predictor."""

import dataclasses

import yaml
from search_toys import CONFIG, latency

from hat.files import append_json_line
from hat.run_directory import RunDirectory
from latency_predictor.collect import planned_architectures
from latency_predictor.devices import load_device
from latency_predictor.environment import read_environment
from latency_predictor.measure import measuring_spec, protocol_of
from latency_predictor.sample import LatencySample, samples_path
from latency_predictor.timing import Timing

SETTINGS = {
    "samples": 12,
    "source_length": 4,
    "target_steps": 3,
    "beam": 2,
    "repeats": 2,
    "vocabulary_size": 20,
}


def make_run(folder, **settings):
    """A RunDirectory in `folder`, without data or weights; `settings` change its latency section."""
    config = folder / "toy.yaml"
    config.write_text(yaml.safe_dump(CONFIG | {"latency": SETTINGS | settings}), encoding="utf-8")
    return RunDirectory.create(config, folder / "run")


def made_up_sample(run, architecture, milliseconds, device_name="cpu", **protocol):
    """A LatencySample as a measurement in `run` would give it; `protocol` changes fields of its Protocol."""
    device = load_device(device_name)
    usual = protocol_of(device, run.config.latency, measuring_spec(run))
    return LatencySample(
        architecture=architecture,
        device=device.name,
        protocol=dataclasses.replace(usual, **protocol),
        encoder_ms=Timing(0.2 * milliseconds, 0.19 * milliseconds, 0.21 * milliseconds, 5),
        decoder_ms=Timing(0.8 * milliseconds, 0.79 * milliseconds, 0.81 * milliseconds, 5),
        total_ms=Timing(milliseconds, 0.98 * milliseconds, 1.02 * milliseconds, 5),
        environment=read_environment(),
    )


def write_samples(run, count, device_name="cpu"):
    """Append made-up samples of the first `count` planned architectures; returns their path."""
    path = samples_path(run, load_device(device_name))
    for architecture in planned_architectures(run.config.search_space, run.config.seed, count):
        append_json_line(path, made_up_sample(run, architecture, latency(architecture), device_name).to_dict())
    return path
