"""The search for the whole front: `hat-search --front`, from a SuperTransformer to points measured along the front."""

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

from hat import files
from hat.architecture.complexity import count_parameters
from hat.architecture.stacks import Architecture
from hat.experiment.run_directory import RunDirectory, check_supertransformer, is_current, mark_done, stamp
from hat.progress import Progress, format_ms
from hat.report.loss_scale import LossScale
from latency_predictor.budget import parse_budget
from latency_predictor.latency import Latency
from latency_predictor.link.devices import load_device
from latency_predictor.sampling.measure import Measurer
from search.aim import HEADROOM, JUDGED_BY, aimed, kept_conversion
from search.candidate import LOSS_UNIT, Candidate
from search.evolving import evolve
from search.fastest import find_least
from search.finalists import ROUNDS, Finalist, Finals
from search.instruments import Instruments, instruments_maker
from search.kept_timings import KeptTimings
from search.nsga2 import FrontEvolution
from search.pareto import pareto_front
from search.report.front_page import render_front_page
from search.report.front_rows import measured, sizes_of
from search.report.pictures import draw_whole_front
from search.run import (
    PLAIN,
    front_name,
    known_latencies,
    open_evaluations,
    real_calls_on,
    run_reference,
    search_settings,
)
from search.spread import spread_evenly

POINTS = 8  # of the front that are measured, its two ends among them
MEDIAN = 0.5  # a front is about the median sentence


def search_front(run: RunDirectory, device_name: str) -> str:
    """Search the whole front on a device and return the result's name; one that is up to date stays.

    Raises ArtifactError naming the stage that has to run first, DeviceError for an unknown device.
    """
    device = load_device(device_name)
    check_supertransformer(run)
    with Measurer(run, device) as measurer, real_calls_on(run, device, MEDIAN) as real_calls:
        make, timing_inputs = instruments_maker(run, device_name, measurer, MEDIAN, PLAIN, real_calls)
        inputs = {"super": stamp(run.super_), **timing_inputs}
        return search_front_with(run, device.name, inputs, make, functools.partial(_bundle_sizes, run))


def _bundle_sizes(run: RunDirectory) -> dict[str, Callable[[Architecture], int]]:
    return {precision: run.task.bundle_size(run, precision) for precision in run.task.precisions}


def search_front_with(
    run: RunDirectory,
    device_name: str,
    inputs: dict[str, Any],
    make_instruments: Callable[[], Instruments],
    make_sizes: Callable[[], dict[str, Callable[[Architecture], int]]],
) -> str:
    """`search_front`, its tools given: functions, called only if there is work to do.

    `make_sizes` gives {precision: function from an architecture to bytes of its bundle}.
    """
    name = front_name(device_name)
    all_inputs = inputs | search_settings(run) | {"points": POINTS, "loss_unit": LOSS_UNIT, "judged_by": JUDGED_BY}
    if is_current(run.search(name), all_inputs):
        print(f"search {name}: up to date")
    else:
        instruments = make_instruments()
        reference = run_reference(run, device_name, MEDIAN, inputs, instruments)
        known = known_latencies(run, device_name, MEDIAN, inputs)
        conversion = kept_conversion(run.search(name), all_inputs, reference, known.pairs(reference.full_ms))
        finalists = FrontSearch(run, device_name, all_inputs, aimed(instruments, conversion), make_sizes()).run()
        known.add(finalists, instruments.predict)
    return name


class FrontSearch:
    """One search for the whole front: evolve, measure points along the front, write."""

    def __init__(
        self,
        run: RunDirectory,
        device_name: str,
        inputs: dict[str, Any],
        instruments: Instruments,
        bundle_sizes: dict[str, Callable[[Architecture], int]],
    ) -> None:
        self._run, self._device_name, self._inputs = run, device_name, inputs
        self._instruments, self._bundle_sizes = instruments, bundle_sizes
        self._name, self._scale = front_name(device_name), run.task.loss_scale
        self._directory = run.search(self._name)
        self._full = run.config.search_space.full_transformer()
        self._evaluations = open_evaluations(run, inputs["super"])

    def run(self) -> list[Finalist]:
        """Do the whole search, from where an interrupted one stopped, and report on standard output.

        Returns the Finalists, which are the measured points.
        """
        evolution = self._evolve()
        stored = self._evaluations.candidates(self._instruments.predict)  # other searches' too
        scored = {candidate.architecture: candidate for candidate in [*evolution.candidates, *stored]}
        front = pareto_front(scored.values(), key=lambda candidate: (candidate.predicted_ms, candidate.valid_nats))
        finalists = self._measure(front)
        latencies = {finalist.candidate.architecture: finalist.latency for finalist in finalists}
        rows = [self._row(candidate, latencies.get(candidate.architecture)) for candidate in front]
        full = self._row(self._full_candidate(), finalists[0].full)
        self._write(evolution, rows, full)
        draw_whole_front(
            self._directory / "front.png",
            self._name,
            self._device_name,
            evolution.candidates,
            front,
            finalists,
            self._scale,
        )
        mark_done(self._directory, self._inputs, ["front.json"])
        self._report(rows, full)
        return finalists

    def _evolve(self) -> FrontEvolution:
        config, instruments = self._run.config, self._instruments
        space = config.search_space
        fastest, _ = find_least(space, instruments.predict, config.seed)
        starters = [fastest, space.smallest(), space.largest(), self._full]
        evolution = FrontEvolution(space, config.search, instruments.predict, config.seed, starters)
        path, inputs = self._directory / "state.json", files.fingerprint(self._inputs)
        evolve(evolution, f"search {self._name}", path, inputs, self._evaluations, instruments.scores)
        return evolution

    def _full_candidate(self) -> Candidate:
        (loss,) = self._evaluations.known_or_scored([self._full], self._instruments.scores)
        return Candidate(self._full, float(self._instruments.predict([self._full])[0]), loss)

    def _measure(self, front: Sequence[Candidate]) -> list[Finalist]:
        """Finalists of points along the front, timed in turns with the full-size Transformer."""
        points = spread_evenly(front, lambda candidate: candidate.predicted_ms, POINTS)
        inputs = files.fingerprint([self._inputs, [candidate.to_dict() for candidate in points]])
        kept_or_measured = KeptTimings(self._directory / "rounds.jsonl", inputs, self._instruments.measure)
        title = f"search {self._name}: timing {len(points)} points of {len(front)} on {self._device_name}"
        with Progress(title, ROUNDS, "rounds") as progress:

            def measure(architectures: Sequence[Architecture]) -> list[Latency]:
                latencies = kept_or_measured(architectures)
                progress.advance()
                return latencies

            return Finals(parse_budget("100%"), self._full, measure).time(points)

    def _row(self, candidate: Candidate, latency: Latency | None) -> dict[str, Any]:
        """One architecture of front.json; `latency` is None for those that were not measured."""
        parameters, without_embeddings = count_parameters(candidate.architecture, self._instruments.spec)
        return candidate.to_dict() | {
            "parameters": parameters,
            "parameters_without_embeddings": without_embeddings,
            **{f"size_{name}_bytes": size(candidate.architecture) for name, size in self._bundle_sizes.items()},
            "measured_ms": None if latency is None else latency.ms,
            "measured_range_ms": None if latency is None else [latency.low_ms, latency.high_ms],
        }

    def _write(self, evolution: FrontEvolution, rows: Sequence[dict[str, Any]], full: dict[str, Any]) -> None:
        candidates, directory = [self._row(candidate, None) for candidate in evolution.candidates], self._directory
        files.write_json(directory / "front.json", rows)
        files.write_json(directory / "full.json", full)
        files.write_json(directory / "candidates.json", candidates)
        files.write_json(directory / "history.json", evolution.history)
        points = {directory / "points" / f"{number}.yaml": row for number, row in enumerate(measured(rows), start=1)}
        for path, row in points.items():
            files.write_yaml(path, row["architecture"])
        for path in set((directory / "points").iterdir()) - set(points):
            path.unlink()  # of an earlier front
        page = render_front_page(
            self._run.config, self._device_name, candidates, rows, full, self._commands(rows, full)
        )
        files.write_text(directory / "report.html", page)

    def _report(self, rows: Sequence[dict[str, Any]], full: dict[str, Any]) -> None:
        print(f"\nSearch {self._name}: points measured along the front, fastest first")
        print("\n".join(points_table(rows, full, self._scale)))
        print(f"results: {self._directory} (report.html, front.json, front.png, points/)")
        print("next, with a budget in mind, or with one of the points:")
        print("\n".join(f"  {command}" for command in self._commands(rows, full)))

    def _commands(self, rows: Sequence[dict[str, Any]], full: dict[str, Any]) -> list[str]:
        """What to run next: a search within a budget, here half the full-size's time, or a training of one point."""
        points = measured(rows)
        budget_ms = min((row["measured_ms"] for row in points), key=lambda ms: abs(ms - full["measured_ms"] / 2))
        number = 1 + [row["measured_ms"] for row in points].index(budget_ms)
        path = self._directory / "points" / f"{number}.yaml"
        device = self._run.measured_device(self._device_name)
        return [
            f"hat-search --device {device} --latency {_rounded_up(budget_ms / HEADROOM):g}ms",
            f"hat-train-sub --architecture {path} --name {self._name}-{number}",
        ]


def _rounded_up(milliseconds: float) -> float:
    """To two significant digits."""
    unit = 10.0 ** (math.floor(math.log10(milliseconds)) - 1)
    return round(math.ceil(milliseconds / unit) * unit, 9)


def points_table(rows: Sequence[dict[str, Any]], full: dict[str, Any], scale: LossScale) -> list[str]:
    """Lines of text: the measured points of a front, and the full-size Transformer; losses in the LossScale."""
    sizes = sizes_of(full)
    heads = ["", scale.head, "predicted", "measured", "+-", "speed-up", *(size.label for size in sizes), ""]
    lines = [heads]
    for number, row in [*enumerate(measured(rows), start=1), ("full", full)]:
        low_ms, high_ms = row["measured_range_ms"]
        architecture = Architecture.from_dict(row["architecture"])
        lines.append(
            [
                str(number),
                f"{scale.value(row['valid_nats']):.4f}",
                format_ms(row["predicted_ms"]),
                format_ms(row["measured_ms"]),
                f"{(high_ms - low_ms) / 2 / row['measured_ms']:.1%}",
                f"{full['measured_ms'] / row['measured_ms']:.2f}x",
                *(size.format(row) for size in sizes),
                architecture.summary(),
            ]
        )
    widths = [max(len(line[column]) for line in lines) for column in range(len(heads) - 1)]
    return ["  ".join([*map(str.rjust, line, widths), line[-1]]).rstrip() for line in lines]
