"""The measuring stage: latency samples of architectures from the search space, appended to run.latency/DEVICE.jsonl."""

import itertools
import secrets
import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from hat.architecture.stacks import Architecture
from hat.experiment.run_directory import RunDirectory
from hat.files import append_json_line
from hat.progress import Progress, format_ms
from latency_predictor.budget import parse_budget
from latency_predictor.fitting.features import PerLayerFeatures
from latency_predictor.fitting.pace import Pace, even_latencies_ms
from latency_predictor.fitting.predictor import LatencyPredictor
from latency_predictor.link.devices import Device, keep_device, load_device
from latency_predictor.sampling.history import Fit, append_fit, history_path, read_history
from latency_predictor.sampling.measure import Measurer, measuring_spec
from latency_predictor.sampling.parts import FEW_WORDS, measure_parts, parts_path, read_parts, write_parts
from latency_predictor.sampling.sample import LatencySample, read_samples, samples_path, write_samples
from latency_predictor.sampling.selection import (
    FIRST,
    fitted_count,
    fixed_architectures,
    margin,
    mark_random,
    next_architectures,
    planned_architectures,
    stop_reason,
)


def collect_all(run: RunDirectory, device_names: Sequence[str], samples: int | None = None) -> None:
    """`collect` for several devices: those elsewhere at once, then those here, one after the other.

    What fails on one device doesn't stop the others; the first error is raised at the end.
    """
    names = list(dict.fromkeys(device_names))
    remote = [name for name in names if load_device(name).host is not None]
    errors: list[Exception] = []

    def attempt(name: str) -> None:
        try:
            collect(run, name, samples)
        except Exception as error:  # what befalls the device, a full disk here, or a fault of ours
            errors.append(error)
            if len(names) > 1:
                print(f"{name}: {error}")

    # Daemons, so that they don't outlive an interrupt; their agents end with this process.
    threads = [threading.Thread(target=attempt, args=(name,), daemon=True) for name in remote]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for name in names:
        if name not in remote:
            attempt(name)
    if errors:
        raise errors[0]


def collect(run: RunDirectory, device_name: str, samples: int | None = None) -> Path:
    """Measure `samples` architectures (default: the config's latency.samples), those already measured left out.

    A fixed number depends on the seed alone, so an interrupted run ends with the same set. Without one, the next
    architectures are chosen by what those before have shown, and measuring stops by itself. Returns the path of the
    samples. Raises ArtifactError if the file holds samples that were measured otherwise.
    """
    device = load_device(device_name)
    with Measurer(run, device) as measurer:
        collection = Collection(run, device, measurer)
        keep_device(device, run.device_file(device.name))
        samples = samples or run.config.latency.samples
        if samples is None:
            collection.measure_enough(run.config.latency.most_samples)
        else:
            collection.measure_number(samples)
        collection.revisit()
        few_words, path = run.task.with_few_words(measuring_spec(run), FEW_WORDS), parts_path(run, device)
        if few_words is not None and not read_parts(path, collection.series):
            write_parts(path, collection.series, measure_parts(measurer, run.config.search_space, few_words))
    collection.report()
    print(f"next: hat-fit-predictor --device {device_name}")
    return collection.path


class Collection:
    """The samples of one device, growing; `series` is what they all have as such, a new one if there are none yet."""

    def __init__(self, run: RunDirectory, device: Device, measurer: Measurer) -> None:
        self._run, self._device, self._measurer = run, device, measurer
        self._space, self._seed = run.config.search_space, run.config.seed
        self.path = samples_path(run, device)
        samples = read_samples(self.path, self._space, measurer.protocol)
        self.series = (samples and samples[0].series) or secrets.token_hex(8)
        known = mark_random(samples, self._space, self._seed)
        self._samples = {sample.architecture: replace(sample, series=self.series) for sample in known}
        if list(self._samples.values()) != samples:
            self._keep_what_was_missing(known)

    def _keep_what_was_missing(self, known: Sequence[LatencySample]) -> None:
        """Write samples of an earlier version again, and say which count as drawn at random."""
        write_samples(self.path, self._samples.values())
        random = sum(sample.at_random for sample in known)
        print(
            f"{self.path}: an earlier version didn't keep which samples were drawn at random; {random} of {len(known)} "
            "are known to be, the others count as chosen: they are fitted, but errors and bounds aren't found from them"
        )

    def measure_number(self, count: int) -> None:
        """Measure the first `count` planned architectures."""
        planned = planned_architectures(self._space, self._seed, count)
        done = sum(architecture in self._samples for architecture in planned)
        with self._progress(len(planned), done) as progress:
            self._measure_planned(planned, progress)

    def measure_enough(self, most: int) -> None:
        """Measure until the predictor is good enough, gets no better, or `most` are measured."""
        path = history_path(self._run, self._device)
        planned = planned_architectures(self._space, self._seed, min(FIRST, most))
        with self._progress(most, len(self._samples)) as progress:
            self._measure_planned(planned, progress)
            while True:
                # Where an interruption cut a batch short, its choice is made again from the samples before it.
                known = list(self._samples)[: fitted_count(len(self._samples), most)]
                fit, predictor = self._fit(known)
                history = read_history(path, self.series, fit.samples)
                if not history or history[-1].samples < fit.samples:
                    append_fit(path, fit)
                    history.append(fit)
                reason = stop_reason(history, most)
                if reason:
                    print(f"stopped: {reason}")
                    return
                chosen = next_architectures(self._space, self._seed, known, predictor, self._budgets_ms())
                pending = self._pending(chosen)
                if not pending:
                    print("stopped: all architectures that could be found are measured")
                    return
                self._measure(dict(itertools.islice(pending.items(), most - len(self._samples))), progress)

    def revisit(self) -> None:
        """Measure once more what was measured when the device was off its median pace; the better visit counts.

        That may move the median, so others are looked for until there are none: nothing is left to the next call.
        """
        while True:
            pace = Pace.of(list(self._samples.values()), self._space, self._measurer.lengths)
            doubtful = [sample for sample in self._samples.values() if sample.visits == 1 and not pace.is_near(sample)]
            if not doubtful:
                return
            with Progress(f"Measuring again on {self._device.name}", len(doubtful), "architectures") as progress:
                for sample in doubtful:
                    better = pace.better(sample, self._measurer.measure(sample.architecture))
                    self._samples[sample.architecture] = better
                    write_samples(self.path, self._samples.values())
                    progress.advance()

    def report(self) -> None:
        """One line on all samples, one on those that something disturbed."""
        latencies = self._latencies_ms(self._samples)
        random = sum(sample.at_random for sample in self._samples.values())
        print(
            f"{self.path}: {len(latencies)} samples, {random} of them drawn at random, of "
            f"{format_ms(min(latencies))} to {format_ms(max(latencies))}"
        )
        shaky = sum(not sample.stable for sample in self._samples.values())
        if shaky:
            print(
                f"warning: {shaky} of {len(latencies)} samples did not become stable within the bounds of the "
                f"protocol; they are marked `stable: false` in {self.path}"
            )

    def _progress(self, total: int, done: int) -> Progress:
        return Progress(f"Measuring on {self._device.name}", total, "architectures", done)

    def _pending(self, drawn: Mapping[Architecture, bool]) -> dict[Architecture, bool]:
        """What isn't measured yet of {architecture: whether it was drawn at random}."""
        return {architecture: random for architecture, random in drawn.items() if architecture not in self._samples}

    def _measure_planned(self, planned: Sequence[Architecture], progress: Progress) -> None:
        fixed = fixed_architectures(self._space)
        self._measure(self._pending({architecture: architecture not in fixed for architecture in planned}), progress)

    def _measure(self, drawn: Mapping[Architecture, bool], progress: Progress) -> None:
        """Measure all of {architecture: whether it was drawn at random}."""
        for architecture, random in drawn.items():
            sample = replace(self._measurer.measure(architecture), at_random=random, series=self.series)
            append_json_line(self.path, sample.to_dict())
            self._samples[architecture] = sample
            progress.advance(note=format_ms(sample.timing(self._measurer.lengths).p25))

    def _latencies_ms(self, architectures: Iterable[Architecture]) -> np.ndarray:
        samples = [self._samples[architecture] for architecture in architectures]
        return even_latencies_ms(self._space, samples, self._measurer.lengths)

    def _fit(self, architectures: Sequence[Architecture]) -> tuple[Fit, LatencyPredictor]:
        """(Fit, LatencyPredictor) of measured architectures."""
        features = PerLayerFeatures(self._space)
        at_random = [self._samples[architecture].at_random for architecture in architectures]
        latencies_ms = self._latencies_ms(architectures)
        predictor = LatencyPredictor.fit(architectures, latencies_ms, self._seed, features, at_random=at_random)
        error = predictor.comparison[predictor.model]["mape"]
        random = list(itertools.compress(architectures, at_random))
        near = margin(predictor, random, self._budgets_ms())
        return Fit(len(architectures), predictor.model, error, near, len(random), self.series), predictor

    def _budgets_ms(self) -> list[float]:
        """The latencies that the config's budgets are about."""
        planned = planned_architectures(self._space, self._seed, FIRST)
        first = [architecture for architecture in planned if architecture in self._samples]
        full_ms = self._latencies_ms(first)[first.index(self._space.full_transformer())]
        return [parse_budget(text).resolve(full_ms) for text in self._run.config.search.latency]
