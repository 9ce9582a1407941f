"""The evaluation stage: quality on some text, parameters, size on disk, measured latency."""

import itertools
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hat import files
from hat.architecture.complexity import count_parameters
from hat.errors import UsageError
from hat.evaluation.targets import Target, find_target
from hat.experiment.run_directory import RunDirectory, stamp
from hat.progress import format_ms

if TYPE_CHECKING:
    from hat.evaluation.text import EvaluationText


HEAD_WIDTH = 6  # of a quality in the table
KEPT_SPLIT = "test"  # its evaluations are kept beside what they judge


NOT_MEASURED = dict.fromkeys(
    (
        "latency_ms",
        "latency_range_ms",
        "latency_p90_ms",
        "latency_p90_range_ms",
        "full_latency_ms",
        "full_latency_range_ms",
        "full_latency_p90_ms",
        "full_latency_p90_range_ms",
        "latency_taken",
        "latency_busy",
        "latency_rounds",
        "latency_with_text",
        "no_latency",
        "device",
    )
)


def evaluate(
    run: RunDirectory,
    target: Path | str,
    meter: Any,
    split: str = KEPT_SPLIT,
    latency: bool = True,
    again: bool = False,
) -> dict[str, Any]:
    """Judge `target` (a sub-training's name, a model's or bundle's folder, an architecture file) on a split.

    Returns the evaluation of `evaluate_all`; what is kept and still true is returned as it is, unless `again`.
    """
    return evaluate_together(run, [target], meter, split, latency, again)[0]


def evaluate_together(
    run: RunDirectory,
    targets: Iterable[Path | str],
    meter: Any,
    split: str = KEPT_SPLIT,
    latency: bool = True,
    again: bool = False,
) -> list[dict[str, Any]]:
    """The evaluations of all `targets`: those that are kept if all are still true and were timed together.

    Else all are made anew. So latencies in one table are of the same rounds, also after an interruption.
    """
    text = run.task.judge(run).split_text(split)
    found = [find_target(run, target) for target in targets]
    if not again:
        kept = [_current(run, target, text, meter, latency) for target in found]
        current = [evaluation for evaluation in kept if evaluation is not None]
        rounds = {evaluation.get("latency_rounds") for evaluation in current if evaluation["latency_ms"] is not None}
        if len(current) == len(found) and len(rounds) <= 1:
            return current
    return [evaluation for evaluation, _answers in _evaluations(run, found, [text], meter, latency)]


def evaluate_all(
    run: RunDirectory,
    targets: Iterable[Path | str],
    texts: "Sequence[EvaluationText]",
    meter: Any,
    latency: bool = True,
    against: Path | str | None = None,
) -> Iterator[dict[str, Any]]:
    """Yield the evaluation, a dictionary, of each target on each EvaluationText.

    Its quality is what the task's judge says. The latency, in ms, is what calls of the bundle take on the
    device of `meter` (a BundleMeter, see latency_predictor.sampling): the median sentence of the run's validation text,
    and the one that nine of ten take no longer than; of a model it is that of the bundle it would make. None without
    `latency`. All bundles and, as `full_latency`, the run's full-size one take turns. On the test split and with its
    latency, an evaluation is kept beside the model or bundle. With `against`, another target, its evaluations come
    first, and those of the others have as `against` what the judge says of the two. Raises UsageError if one of the
    targets is that other one itself.
    """
    judge = run.task.judge(run)
    found = [find_target(run, target) for target in targets]
    if against is None:
        yield from (evaluation for evaluation, _answers in _evaluations(run, found, texts, meter, latency))
        return
    baseline = find_target(run, against)
    _check_different(baseline, found)
    evaluations = _evaluations(run, [baseline, *found], texts, meter, latency)
    baselines: list[Any] = []
    for evaluation, answers in itertools.islice(evaluations, len(texts)):
        baselines.append(answers)
        yield evaluation
    for (evaluation, answers), text, other in zip(
        evaluations, itertools.cycle(texts), itertools.cycle(baselines), strict=False
    ):
        evaluation["against"] = {"target": baseline.name, **judge.compare(answers, other, text.references)}
        yield evaluation


def _evaluations(
    run: RunDirectory, targets: Sequence[Target], texts: "Sequence[EvaluationText]", meter: Any, latency: bool
) -> Iterator[tuple[dict[str, Any], list[str]]]:
    """Yield (evaluation, answers) of each Target on each EvaluationText; keeps what is to be kept."""
    judge = run.task.judge(run)
    measured = _measured(targets, meter) if latency else [{} for _ in targets]
    for found, latencies in zip(targets, measured, strict=True):
        costs = _counted(found) | NOT_MEASURED | latencies
        for text in texts:
            answers = found.answer(text.sources)
            evaluation = _quality(found, text, judge.score(answers, text.references)) | costs
            kept = _kept_at(found, text, latency)
            if kept is not None:
                files.write_json(kept, evaluation | {"inputs": _inputs(run, found, meter)})
            yield evaluation, answers


def _check_different(baseline: Target, others: Iterable[Target]) -> None:
    for other in others:
        if other.content == baseline.content:
            raise UsageError(f"--against {baseline.name}: that is {other.name} itself; name another model or bundle")


def _kept_at(found: Target, text: "EvaluationText", latency: bool) -> Path | None:
    """Where an evaluation is kept; None for nowhere."""
    return found.result if text.origin["split"] == KEPT_SPLIT and latency else None


def _inputs(run: RunDirectory, found: Target, meter: Any) -> str:
    settings = run.sections("evaluation", "seed")
    return files.fingerprint([found.content, KEPT_SPLIT, stamp(run.data), settings, meter.inputs(found.precision)])


def _current(
    run: RunDirectory, found: Target, text: "EvaluationText", meter: Any, latency: bool
) -> dict[str, Any] | None:
    """The evaluation that is kept, if it is of the same inputs, else None."""
    path = _kept_at(found, text, latency)
    if path is None or not path.exists():
        return None
    evaluation = files.read_json(path, "remove it and evaluate again")
    return evaluation if evaluation.pop("inputs", None) == _inputs(run, found, meter) else None


def _quality(found: Target, text: "EvaluationText", scores: dict[str, Any]) -> dict[str, Any]:
    return {
        "target": found.name,
        "kind": found.kind,
        **text.origin,
        **scores,
        "beam": found.beam,
        "precision": found.precision,
    }


def _counted(found: Target) -> dict[str, Any]:
    parameters, without_embeddings = count_parameters(found.architecture, found.spec)
    return {
        "parameters": parameters - found.removed_parameters,
        "parameters_without_embeddings": without_embeddings - found.removed_parameters,
        "size_bytes": found.size_bytes,
    }


def _measured(targets: Sequence[Target], meter: Any) -> list[dict[str, Any]]:
    """What there is to say of the latency of each Target; those that can be timed take turns."""
    reasons = [meter.why_not(found.precision) for found in targets]
    with tempfile.TemporaryDirectory(prefix="hat-evaluate-") as folder:
        timed = [
            (found.bundle(Path(folder) / str(number)), found.precision)
            for number, (found, reason) in enumerate(zip(targets, reasons, strict=True))
            if not reason
        ]
        latencies = iter(meter.measure(timed) if timed else [])
    return [{"no_latency": reason} if reason else next(latencies) for reason in reasons]


def evaluations_table(judge: Any, evaluations: Sequence[dict[str, Any]]) -> list[str]:
    """Lines of text: one per evaluation, one per comparison, and what else the task's judge says of them."""
    texts = [row["split"] or row["test_set"]["source"] for row in evaluations]
    width, text_width = (max(map(len, column)) for column in ([row["target"] for row in evaluations], [*texts, "text"]))
    heads = " ".join(f"{title:>{HEAD_WIDTH}}" for title, _ in judge.columns)
    lines = [
        f"{'target':{width}} {'text':{text_width}} {heads} {'latency':>10} {'p90':>10} {'parameters':>11} {'size':>9}"
    ]
    for row, text in zip(evaluations, texts, strict=True):
        latency, p90 = ("-" if row[key] is None else format_ms(row[key]) for key in ("latency_ms", "latency_p90_ms"))
        scores = " ".join(f"{row[key]:{HEAD_WIDTH}.2f}" for _, key in judge.columns)
        lines.append(
            f"{row['target']:{width}} {text:{text_width}} {scores} "
            f"{latency:>10} {p90:>10} {row['parameters'] / 1e6:9.2f} M {row['size_bytes'] / 1e6:6.1f} MB"
        )
    pairs = zip(evaluations, texts, strict=True)
    compared = [
        f"{row['target']} against {row['against']['target']} on {text}: {judge.comparison(row['against'])}"
        for row, text in pairs
        if "against" in row
    ]
    reasons = {f"- latency of {row['target']}: {said}" for row in evaluations if (said := _said_of_latency(row))}
    return lines + sorted(reasons) + compared + sorted({judge.signatures(row) for row in evaluations})


def _said_of_latency(evaluation: Mapping[str, Any]) -> str | None:
    """Why there is none, or what is wrong with it."""
    if evaluation.get("latency_busy"):
        return (
            f"other work had the processor {evaluation['latency_taken']:.0%} of the time while it was taken; end that "
            "work and evaluate again"
        )
    return evaluation.get("no_latency")
