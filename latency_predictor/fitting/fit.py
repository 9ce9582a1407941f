"""The fit stage: from measured samples to a latency predictor, its quality and its picture."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from hat import files
from hat.architecture.stacks import Architecture
from hat.errors import ArtifactError, DataError
from hat.experiment.run_directory import RunDirectory, is_current, mark_done
from hat.report.figures import save_png
from latency_predictor.fitting.conformal import LEAST_SCORES
from latency_predictor.fitting.csv_files import read_hat_csv
from latency_predictor.fitting.features import AveragedFeatures, Features, PerLayerFeatures
from latency_predictor.fitting.pace import even_latencies_ms
from latency_predictor.fitting.predictor import VERSION, LatencyPredictor
from latency_predictor.fitting.quality import assess, table
from latency_predictor.link.devices import Device, load_device
from latency_predictor.on_device.timing import clock_name
from latency_predictor.report.device_charts import draw_held_out
from latency_predictor.report.device_report import write_report
from latency_predictor.sampling.lengths import run_lengths
from latency_predictor.sampling.measure import measuring_spec, protocol_of
from latency_predictor.sampling.sample import predictor_directory, read_samples, samples_path
from latency_predictor.sampling.selection import FIRST, mark_random

MIN_SAMPLES = 10
MIN_RANDOM = 5  # of them
CSV_SEED = 1


def read_latencies(
    run: RunDirectory, device: Device, quantile: float = 0.5
) -> tuple[list[Architecture], np.ndarray, np.ndarray]:
    """(architectures, latencies_ms, at_random) of all samples of a Device in run.latency/DEVICE.jsonl.

    `latencies_ms` and the mask `at_random`, of those that were drawn so, are (architectures,).
    A latency is what this quantile of the corpus's sentences stay within, at the median pace of the samples.
    Raises ArtifactError for samples that were measured otherwise than the run and the device say now.
    """
    space, lengths = run.config.search_space, run_lengths(run)
    protocol = protocol_of(run, device, measuring_spec(run), lengths)
    samples = read_samples(samples_path(run, device), space, protocol)
    if not samples:
        return [], np.zeros(0), np.zeros(0, bool)
    at_random = np.array([sample.at_random for sample in mark_random(samples, space, run.config.seed)])
    latencies_ms = even_latencies_ms(space, samples, lengths, quantile)
    return [sample.architecture for sample in samples], latencies_ms, at_random


def fit_predictor(run: RunDirectory, device_name: str, model: str = "auto", quantile: float = 0.5) -> LatencyPredictor:
    """Fit to all samples of run.latency/DEVICE.jsonl; writes the predictor's directory and prints its quality.

    `model` is one of fitting.models.MODELS, or 'auto'; `quantile` is of the corpus's sentences. Raises
    ArtifactError, naming the command that measures, where there are too few samples.
    """
    device = load_device(device_name)
    architectures, measured_ms, at_random = read_latencies(run, device, quantile)
    if len(architectures) < MIN_SAMPLES or at_random.sum() < MIN_RANDOM:
        raise ArtifactError(
            f"{samples_path(run, device)}: {len(architectures)} samples, but a predictor needs at least {MIN_SAMPLES}, "
            f"{MIN_RANDOM} of them drawn at random ({at_random.sum()} are); "
            f"run `hat-measure-latency --device {device_name}`"
        )
    features = PerLayerFeatures(run.config.search_space)
    samples = features.matrix(architectures), measured_ms, at_random
    directory, inputs = predictor_directory(run, device, quantile), _inputs(run, device, quantile)
    title = f"{run.config.name} on {device.name}"
    clock = clock_name(device.threads, device.accelerator)
    predictor, quality = _fit(features, samples, run.config.seed, model, directory, title, clock)
    page = write_report(run, device, quantile, predictor, quality, measured_ms)
    mark_done(directory, inputs, ["predictor.json"])  # which holds the digest of its weights
    if quality["at_random"] < LEAST_SCORES:
        print(f"`hat-measure-latency --device {device_name} --samples {FIRST}` draws what is missing of random samples")
    print(f"{directory}: predictor, quality.json, predicted_vs_measured.png\n{page}: how far to trust it")
    print(f"next: hat-search --device {device_name} --latency 50%")
    return predictor


def load_or_fit(run: RunDirectory, device_name: str, quantile: float = 0.5) -> LatencyPredictor:
    """The predictor of a run's device: the saved one if it is current, else fitted anew.

    Raises ArtifactError, naming the command that measures, where there are too few samples.
    """
    device = load_device(device_name)
    directory = predictor_directory(run, device, quantile)
    if samples_path(run, device).exists() and is_current(directory, _inputs(run, device, quantile)):
        return LatencyPredictor.load(directory)
    return fit_predictor(run, device_name, quantile=quantile)


def fit_csv(path: Path | str, output: Path | str, model: str = "auto") -> LatencyPredictor:
    """Fit to a CSV file that HAT published; writes `output`/NAME.predictor/ and prints its quality."""
    path = Path(path)
    matrix, measured_ms = read_hat_csv(path)
    if len(measured_ms) < MIN_SAMPLES:
        raise DataError(f"{path}: {len(measured_ms)} samples, but a predictor needs at least {MIN_SAMPLES}")
    name = path.name.removesuffix(".gz").removesuffix(".csv")
    directory = Path(output) / f"{name}.predictor"
    samples = matrix, measured_ms, np.full(len(measured_ms), True)
    predictor, _ = _fit(AveragedFeatures(), samples, CSV_SEED, model, directory, name)
    print(f"{directory}: predictor, quality.json, predicted_vs_measured.png")
    return predictor


def _inputs(run: RunDirectory, device: Device, quantile: float) -> dict[str, Any]:
    """What a predictor is made of. The kind of model isn't: one that was asked for is kept until new samples come."""
    features = PerLayerFeatures(run.config.search_space)
    return {
        "version": VERSION,
        "samples": files.sha256_of_file(samples_path(run, device)),
        "lengths": asdict(run_lengths(run)),
        "quantile": quantile,
        "features": [*features.names, *features.physical_names],
        "seed": run.config.seed,
    }


def _fit(
    features: Features,
    samples: tuple[np.ndarray, np.ndarray, np.ndarray],
    seed: int,
    model: str,
    directory: Path,
    title: str,
    clock: str | None = None,
) -> tuple[LatencyPredictor, dict[str, Any]]:
    """(LatencyPredictor, its quality) of `samples` (raw matrix, ms, at_random), saved, drawn and printed.

    `clock` is what the samples were timed by, if that is known.
    """
    matrix, measured_ms, at_random = samples
    predictor = LatencyPredictor.fit_matrix(matrix, measured_ms, seed, features, model, at_random)
    quality = assess(predictor, matrix, measured_ms, seed) | {"clock": clock}
    predictor.save(directory)
    files.write_json(directory / "quality.json", quality)
    caption = f"{title}: MAPE {quality['mape']:.1%}, Kendall tau {quality['kendall_tau']:.3f}"
    save_png(directory / "predicted_vs_measured.png", draw_held_out, quality, caption)
    print(f"Latency predictor, {title}: {table(quality)}")
    return predictor, quality
