"""The fit stage: from measured samples to a latency predictor, its quality and its picture."""

from pathlib import Path

import numpy as np

from hat import files
from hat.errors import ArtifactError, DataError
from hat.run_directory import is_current, mark_done
from latency_predictor.csv_files import read_hat_csv
from latency_predictor.devices import load_device
from latency_predictor.features import AveragedFeatures, PerLayerFeatures
from latency_predictor.figure import draw_predicted_against_measured
from latency_predictor.predictor import VERSION, LatencyPredictor
from latency_predictor.quality import assess, table
from latency_predictor.regression import LatencyRegressor
from latency_predictor.sample import read_samples, samples_path

MIN_SAMPLES = 10


def fit_predictor(run, device_name):
    """Fit to all samples of run.latency/DEVICE.jsonl; writes run.latency/DEVICE.predictor/ and prints its quality.

    Raises ArtifactError, naming the command that measures, where there are too few samples.
    """
    device = load_device(device_name)
    features = PerLayerFeatures(run.config.search_space)
    samples = read_samples(samples_path(run, device), run.config.search_space)
    if len(samples) < MIN_SAMPLES:
        raise ArtifactError(
            f"{samples_path(run, device)}: {len(samples)} samples, but a predictor needs at least {MIN_SAMPLES}; "
            f"run `hat-measure-latency --device {device_name}`"
        )
    matrix = features.matrix([sample.architecture for sample in samples])
    latencies_ms = np.array([sample.latency_ms for sample in samples])
    directory = _predictor_directory(run, device)
    inputs = _inputs(run, device)
    predictor = _fit(features, matrix, latencies_ms, run.config.seed, directory, f"{run.config.name} on {device.name}")
    mark_done(directory, inputs)
    print(f"{directory}: predictor, quality.json, predicted_vs_measured.png")
    print(f"next: hat-search --device {device_name} --latency 50%")
    return predictor


def load_or_fit(run, device_name):
    """The predictor of a run's device: the saved one if it is current, else fitted anew.

    Raises ArtifactError, naming the command that measures, where there are too few samples.
    """
    device = load_device(device_name)
    directory = _predictor_directory(run, device)
    if samples_path(run, device).exists() and is_current(directory, _inputs(run, device)):
        return LatencyPredictor.load(directory)
    return fit_predictor(run, device_name)


def fit_csv(path, output):
    """Fit to a CSV file that HAT published; writes `output`/NAME.predictor/ and prints its quality."""
    path = Path(path)
    matrix, latencies_ms = read_hat_csv(path)
    if len(latencies_ms) < MIN_SAMPLES:
        raise DataError(f"{path}: {len(latencies_ms)} samples, but a predictor needs at least {MIN_SAMPLES}")
    name = path.name.removesuffix(".gz").removesuffix(".csv")
    directory = Path(output) / f"{name}.predictor"
    predictor = _fit(AveragedFeatures(), matrix, latencies_ms, 1, directory, name)
    print(f"{directory}: predictor, quality.json, predicted_vs_measured.png")
    return predictor


def _predictor_directory(run, device):
    return run.latency / f"{device.name}.predictor"


def _inputs(run, device):
    names = PerLayerFeatures(run.config.search_space).names
    samples = files.sha256_of_file(samples_path(run, device))
    return {"version": VERSION, "samples": samples, "features": names, "seed": run.config.seed}


def _fit(features, matrix, latencies_ms, seed, directory, title):
    quality = assess(features, matrix, latencies_ms, seed)
    predictor = LatencyPredictor(features, LatencyRegressor.fit(matrix, latencies_ms, seed))
    predictor.save(directory)
    files.write_json(directory / "quality.json", quality)
    draw_predicted_against_measured(quality, title, directory / "predicted_vs_measured.png")
    print(f"Latency predictor, {title}: {table(quality)}")
    return predictor
