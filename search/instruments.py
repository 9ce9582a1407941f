"""Instruments: what a search asks of the rest, and how they are made for a run and a device."""

import contextlib
import functools
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hat import files
from hat.architecture.stacks import Architecture
from hat.config import to_mapping
from hat.experiment.run_directory import RunDirectory, stamp
from hat.models.translation_spec import ModelSpec
from hat.training.options import TrainingOptions
from latency_predictor.fitting.predictor import LatencyPredictor
from latency_predictor.latency import Latency
from latency_predictor.sampling.measure import Measurer, measuring_spec
from latency_predictor.sampling.real_calls import Calls, RealCalls
from latency_predictor.sampling.sample import predictor_directory
from search.halving import train_finalists

if TYPE_CHECKING:
    from search.scorer import Scorer


@dataclass(frozen=True)
class Instruments:
    """What a search asks of the rest.

    `predict`: architectures -> milliseconds; `measure`: architectures -> [Latency] on the device, of one round in which
    they take turns; `scores`: (architectures, part of the validation sentences) -> iterator of (validation loss in
    nats, summed over target tokens; number of these), in the architectures' order; `size_bytes`: architecture -> bytes
    of its bundle. `spec` and `middle_length` (of each of the task's phases) are for counting parameters and FLOPs;
    `precision` is that of the bundles. `train`: (architectures, updates) -> validation losses in nats per token after
    so many updates of their own training.
    """

    predict: Callable
    measure: Callable
    scores: Callable
    size_bytes: Callable
    spec: ModelSpec
    middle_length: tuple[int, ...]
    precision: str = "fp32"
    train: Callable | None = None


def instruments_maker(
    run: RunDirectory,
    device_name: str,
    measurer: Measurer,
    quantile: float,
    options: TrainingOptions,
    real_calls: "InheritedCalls | None" = None,
) -> tuple[Callable[[], Instruments], dict[str, Any]]:
    """(function that makes the Instruments, what latencies depend on, for fingerprints).

    Latencies are those of `real_calls`, a RealCalls; without, of the `measurer`'s ruler.
    """
    from latency_predictor.fitting.fit import load_or_fit

    predictor = load_or_fit(run, device_name, quantile)
    inputs = {
        "device": to_mapping(measurer.device),
        "predictor": stamp(predictor_directory(run, measurer.device, quantile)),
    }
    return functools.partial(_make_instruments, run, measurer, predictor, quantile, options, real_calls), inputs


def _make_instruments(
    run: RunDirectory,
    measurer: Measurer,
    predictor: LatencyPredictor,
    quantile: float,
    options: TrainingOptions,
    real_calls: "InheritedCalls | None",
) -> Instruments:
    # loaded when the first candidate needs it
    scorer = functools.cache(lambda: _load_scorer(run))
    size_bytes = functools.cache(lambda: run.task.bundle_size(run, measurer.device.precision))
    if real_calls is None:
        measure = functools.partial(_by_ruler, measurer, quantile)
    else:
        measure = functools.partial(_by_calls, real_calls, quantile)
    return Instruments(
        predict=predictor.predict,
        measure=measure,
        scores=lambda architectures, part: _spread(run, scorer(), architectures, part),
        size_bytes=lambda architecture: size_bytes()(architecture),
        spec=measuring_spec(run),
        middle_length=measurer.lengths.middle,
        train=functools.partial(train_finalists, run, options),
        precision=measurer.device.precision,
    )


def _by_ruler(measurer: Measurer, quantile: float, architectures: Sequence[Architecture]) -> list[Latency]:
    paced = [measurer.measure_paced(architecture) for architecture in architectures]
    timings = [sample.timing(measurer.lengths, quantile) for sample in paced]
    return [Latency(timing.p25, timing.ci_low, timing.ci_high) for timing in timings]


def _by_calls(real_calls: "InheritedCalls", quantile: float, architectures: Sequence[Architecture]) -> list[Latency]:
    return [calls.latency(quantile) for calls in real_calls.time(architectures)]


class InheritedCalls:
    """Times real calls of the bundles that architectures make with the SuperTransformer's weights.

    `real_calls` is a RealCalls; use as a context manager.
    """

    def __init__(self, run: RunDirectory, real_calls: RealCalls, precision: str) -> None:
        self._run, self._real_calls, self._precision = run, real_calls, precision
        self._folder: Any = None

    def __enter__(self) -> "InheritedCalls":
        with contextlib.ExitStack() as stack:
            self._folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="hat-trial-")))
            stack.enter_context(self._real_calls)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *exception: Any) -> None:
        self._stack.__exit__(*exception)

    def time(self, architectures: Sequence[Architecture]) -> list[Calls]:
        """The Calls of one round, in which the architectures take turns."""
        return self._real_calls.time([self._bundle(architecture) for architecture in architectures])

    def _bundle(self, architecture: Architecture) -> Path:
        folder = self._folder / files.fingerprint(architecture.to_dict())
        if not folder.exists():
            self._run.task.write_trial_bundle(self._run, self._super.extract(architecture), self._precision, folder)
        return folder

    @functools.cached_property
    def _super(self) -> Any:
        from hat.models.checkpoint import load_model

        return load_model(self._run.super_)


def _load_scorer(run: RunDirectory) -> "Scorer":
    from search.scorer import load_scorer

    return load_scorer(run)


def _spread(
    run: RunDirectory, scorer: "Scorer", architectures: Sequence[Architecture], part: int
) -> Iterator[tuple[float, int]]:
    from search.ranks import spread

    return spread(run, scorer, architectures, part)
