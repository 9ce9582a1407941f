"""The measuring stage: latency samples of architectures from the search space, appended to run.latency/DEVICE.jsonl."""

import itertools

import numpy as np

from hat.files import append_json_line
from hat.progress import Progress
from latency_predictor.devices import load_device
from latency_predictor.measure import Measurer, measuring_spec, protocol_of
from latency_predictor.sample import read_samples, samples_path

ATTEMPTS = 50  # random architectures drawn for each one wanted, before a small space counts as used up


def collect(run, device_name, samples=None):
    """Measure `samples` architectures (default: the config's latency.samples), those already measured left out.

    Which architectures these are depends on the seed alone, so an interrupted run ends with the same set.
    Returns the path of the samples. Raises ArtifactError if the file holds samples that were measured otherwise.
    """
    device, spec, config = load_device(device_name), measuring_spec(run), run.config
    path = samples_path(run, device)
    measured = read_samples(path, config.search_space, protocol_of(device, config.latency, spec))
    done = {sample.architecture for sample in measured}
    planned = planned_architectures(config.search_space, config.seed, samples or config.latency.samples)
    pending = [architecture for architecture in planned if architecture not in done]
    if pending:
        measurer = Measurer(device, config.latency, spec)
        with Progress(f"Measuring on {device.name}", len(planned), "architectures", len(planned) - len(pending)) as bar:
            for architecture in pending:
                sample = measurer.measure(architecture)
                append_json_line(path, sample.to_dict())
                measured.append(sample)
                bar.advance(note=f"{sample.latency_ms:.2f} ms")
    latencies = [sample.latency_ms for sample in measured]
    print(f"{path}: {len(measured)} samples of {min(latencies):.2f} to {max(latencies):.2f} ms")
    print(f"next: hat-fit-predictor --device {device_name}")
    return path


def planned_architectures(space, seed, count):
    """`count` distinct architectures, or all that can be found in a small space.

    The smallest, the largest and the full-size Transformer come first, then random ones, each from (seed, index).
    A smaller count gives the beginning of the same list.
    """
    fixed = [space.smallest(), space.largest(), space.full_transformer()]
    random = (space.sample(np.random.default_rng((seed, index))) for index in range(ATTEMPTS * count))
    planned = {}  # keeps the order
    for architecture in itertools.chain(fixed, random):
        if len(planned) == count:
            break
        planned.setdefault(architecture)
    return list(planned)
