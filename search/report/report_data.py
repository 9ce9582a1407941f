"""What the report shows, read from a run directory's files."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hat import files
from hat.architecture.complexity import count_flops, count_parameters
from hat.architecture.stacks import Architecture
from hat.config import from_mapping
from hat.experiment.run_directory import FULL, RunDirectory
from hat.report.loss_scale import LossScale
from latency_predictor.budget import parse_budget
from latency_predictor.fitting.conversion import Conversion
from latency_predictor.fitting.predictor import LatencyPredictor
from latency_predictor.latency import Latency
from latency_predictor.sampling.bundle_meter import LATENCY_KEYS
from latency_predictor.sampling.lengths import run_lengths
from latency_predictor.sampling.sample import quantile_suffix
from search.limits import Limits

REMEDY = "run hat-run with this run directory's config again"


@dataclass(frozen=True)
class Bundle:
    """One deployable form of a system; `scores` are {title: value}, the one that counts first, `note` tells of them.

    `interval` is the 95 % interval of the one that counts, `confusion` {reference: {answer: count}}; each is None where
    the task has none. `latency_ms` is that of the median sentence, `p90_ms` of nine of ten. Both are None where the
    device doesn't run such bundles; `no_latency` says why.
    """

    scores: dict[str, float]
    note: str
    interval: tuple[float, float] | None
    confusion: dict[str, dict[str, int]] | None
    latency_ms: float | None
    p90_ms: float | None
    no_latency: str | None
    size_bytes: int
    sentences: int

    @property
    def quality(self) -> float:
        """The score that counts."""
        return next(iter(self.scores.values()))

    @property
    def labels(self) -> list[str]:
        """All that is in `confusion`, true or given."""
        return sorted({*self.confusion, *(given for row in self.confusion.values() for given in row)})


@dataclass(frozen=True)
class System:
    """A trained Transformer: the full-size one, or one chosen for a budget (then with `budget` and `budget_ms`).

    `measured` is the latency of its bundle, of the quantile of sentences that the budget is about; `full` is that of
    the full-size Transformer's, which took turns with it.
    """

    name: str
    label: str
    architecture: Architecture
    budget: str | None
    budget_ms: float | None
    predicted_ms: float
    measured: Latency
    full: Latency
    valid_nats: float | None
    parameters: int
    parameters_without_embeddings: int
    flops: int
    bundles: dict[str, Bundle]

    @property
    def meets_budget(self) -> bool:
        return self.measured.ms <= self.budget_ms

    @property
    def busy(self) -> bool:
        """Whether other work disturbed what the verdict on a budget, and the speed-up, rest on."""
        return self.measured.busy or self.full.busy

    @property
    def speedup(self) -> float:
        return self.full.ms / self.measured.ms


@dataclass(frozen=True)
class Curve:
    """Validation losses of one training: update numbers, and a list of the same length per validated subnet."""

    name: str
    updates: list[int]
    losses: dict[str, list[float]]
    seconds: float


@dataclass(frozen=True)
class ReportData:
    """All that is shown. `candidates` and `fronts` hold (predicted ms, validation loss, one-line summary).

    `precision` is that of the bundles that were searched for; `bundles` of each System hold the others too. `answers`
    is what the task's bundles give, `latency_note` what a latency is of where that is less than a call.
    """

    config: Any
    title: str
    device: str
    precision: str
    systems: list[System]
    candidates: list[tuple[float, float, str]]
    fronts: dict[str, list[tuple[float, float, str]]]
    histories: dict[str, list[dict]]
    quality: dict
    curves: list[Curve]
    environment: dict
    samples: int
    answers: str
    loss_scale: LossScale
    latency_note: str

    @property
    def precisions(self) -> list[str]:
        """Those of the bundles."""
        return list(self.full.bundles)

    @property
    def other_precision(self) -> str | None:
        """That of the bundles beside the searched ones; None where there are no others."""
        return next((precision for precision in self.precisions if precision != self.precision), None)

    @property
    def full(self) -> System:
        return self.systems[0]

    @property
    def score_titles(self) -> list[str]:
        """What quality is called, the score that counts first."""
        return list(self.full.bundles[self.precision].scores)

    @property
    def picks(self) -> list[System]:
        return self.systems[1:]


def load_report_data(run: RunDirectory, device: str, names: Sequence[str]) -> ReportData:
    """ReportData of the searches `names` on `device`; raises ArtifactError if a stage's result is missing."""
    choices = {name: files.read_json(run.search(name) / "choice.json", REMEDY) for name in names}
    # What is shown of the full-size Transformer and of the predictor is about one quantile of the sentences.
    quantile = min((choice["quantile"] for choice in choices.values()), key=lambda quantile: abs(quantile - 0.5))
    shown = [choice for choice in choices.values() if choice["quantile"] == quantile]
    directory = run.latency / f"{device}{quantile_suffix(quantile)}.predictor"
    samples = files.read_json_lines(run.latency / f"{device}.jsonl")
    return ReportData(
        config=run.config,
        title=run.task.title(run.config),
        device=device,
        precision=next(iter(choices.values()))["precision"],
        systems=[_full(run, LatencyPredictor.load(directory), shown), *_picks(run, choices)],
        candidates=sorted({point for name in names for point in _points(run.search(name) / "candidates.json")}),
        fronts={name: _points(run.search(name) / "front.json") for name in names},
        histories={name: files.read_json(run.search(name) / "history.json", REMEDY) for name in names},
        quality=files.read_json(directory / "quality.json", REMEDY),
        curves=[_curve("SuperTransformer", run.super_), *(_curve(name, run.sub(name)) for name in [FULL, *names])],
        environment=samples[-1]["environment"] if samples else {},
        samples=len(samples),
        answers=run.task.answers,
        loss_scale=run.task.loss_scale,
        latency_note=run.task.latency_note(run.config),
    )


def _points(path: Path) -> list[tuple[float, float, str]]:
    """(predicted ms, validation loss, summary) of a file of candidates."""
    rows = files.read_json(path, REMEDY)
    return [
        (row["predicted_ms"], row["valid_nats"], Architecture.from_dict(row["architecture"], str(path)).summary())
        for row in rows
    ]


def _full(run: RunDirectory, predictor: LatencyPredictor, choices: Sequence[dict[str, Any]]) -> System:
    full, choice = run.config.search_space.full_transformer(), choices[0]
    conversion = from_mapping(Conversion, choice["conversion"], "choice.json: conversion")
    deployed = _as_deployed(run, FULL, choice)
    measured = deployed[0] if deployed else _searched(choice, "full")
    return _system(
        run,
        FULL,
        full,
        label="full-size Transformer",
        budget=None,
        budget_ms=None,
        predicted_ms=float(conversion.latency_ms(predictor.predict([full]))[0]),
        measured=measured,
        full=measured,
        valid_nats=None,
    )


def _as_deployed(run: RunDirectory, name: str, choice: dict[str, Any]) -> tuple[Latency, Latency] | None:
    """The Latency of the quantile of a choice, of the trained bundle and of the full-size one that it took turns with.

    None where they weren't measured.
    """
    key = LATENCY_KEYS.get(choice["quantile"])
    evaluation = _evaluation(run, name, choice["precision"])
    if key is None or evaluation.get(f"full_{key}_ms") is None:
        return None
    taken = evaluation["latency_taken"]
    measured, full = (
        Latency(evaluation[f"{which}_ms"], *evaluation[f"{which}_range_ms"], taken)  # type: ignore[call-arg]
        for which in (key, f"full_{key}")
    )
    return measured, full


def _searched(choice: dict[str, Any], which: str) -> Latency:
    """The Latency of what was chosen ("measured") or of the full-size Transformer ("full"), as the search timed it."""
    return Latency(choice[f"{which}_ms"], *choice[f"{which}_range_ms"], choice["taken"])  # type: ignore[call-arg]


def _evaluation(run: RunDirectory, name: str, precision: str) -> dict[str, Any]:
    return files.read_json(run.export(name) / f"evaluation.{precision}.json", REMEDY)


def _picks(run: RunDirectory, choices: dict[str, dict[str, Any]]) -> list[System]:
    return [_chosen(run, name, choice) for name, choice in choices.items()]


def _chosen(run: RunDirectory, name: str, choice: dict[str, Any]) -> System:
    architecture = Architecture.from_dict(choice["architecture"], f"{name}/choice.json")
    deployed = _as_deployed(run, name, choice)
    measured, full = deployed or (_searched(choice, "measured"), _searched(choice, "full"))
    budget_ms = parse_budget(choice["budget"]).resolve(full.ms) if deployed else choice["budget_ms"]
    return _system(
        run,
        name,
        architecture,
        label=_label(choice),
        budget=choice["budget"],
        budget_ms=budget_ms,
        predicted_ms=choice["predicted_ms"],
        measured=measured,
        full=full,
        valid_nats=choice["valid_nats"],
    )


def _label(choice: dict[str, Any]) -> str:
    limits = from_mapping(Limits, choice["limits"], "choice.json: limits")
    return ", ".join(["HAT", choice["budget"], *limits.texts()])


def _system(run: RunDirectory, name: str, architecture: Architecture, **measured: Any) -> System:
    evaluations = {precision: _evaluation(run, name, precision) for precision in run.task.precisions}
    judge = run.task.judge(run)
    spec = run.spec()
    parameters, without_embeddings = count_parameters(architecture, spec)
    return System(
        name=name,
        architecture=architecture,
        parameters=parameters,
        parameters_without_embeddings=without_embeddings,
        flops=count_flops(architecture, spec, *run_lengths(run).middle),
        bundles={precision: _bundle(judge, evaluation) for precision, evaluation in evaluations.items()},
        **measured,
    )


def _bundle(judge: Any, evaluation: dict[str, Any]) -> Bundle:
    return Bundle(
        scores={title: evaluation[key] for title, key in judge.columns},
        note=judge.note(evaluation),
        interval=judge.interval(evaluation),
        confusion=evaluation.get("confusion"),
        latency_ms=evaluation["latency_ms"],
        p90_ms=evaluation["latency_p90_ms"],
        no_latency=evaluation.get("no_latency"),
        size_bytes=evaluation["size_bytes"],
        sentences=evaluation["sentences"],
    )


def _curve(name: str, directory: Path) -> Curve:
    rows = files.read_json_lines(directory / "metrics.jsonl")
    names = list(rows[-1]["valid"]) if rows else []
    return Curve(
        name=name,
        updates=[row["update"] for row in rows],
        losses={subnet: [row["valid"][subnet] for row in rows] for subnet in names},
        seconds=rows[-1]["seconds"] if rows else 0.0,
    )
