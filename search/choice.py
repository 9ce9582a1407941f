"""What a finished search leaves: the winner, the front of everything scored, the history, a picture, a table."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hat import files
from hat.architecture.complexity import Spec, count_flops, count_parameters
from hat.architecture.space import SearchSpace
from hat.architecture.stacks import Architecture
from hat.config import to_mapping
from hat.progress import format_ms
from hat.report.loss_scale import LossScale
from search.candidate import Candidate
from search.finalists import Finalist
from search.pareto import pareto_front
from search.report.pictures import draw_front

if TYPE_CHECKING:
    from search.budget_search import Prepared, Task


def write_choice(
    directory: Path,
    choice: dict[str, Any],
    winner: Finalist,
    finalists: Sequence[Finalist],
    losses: Mapping[Architecture, Mapping[int, float]],
    candidates: Iterable[Candidate],
    scored: Sequence[Candidate],
    history: list[dict[str, Any]],
    scale: LossScale,
) -> None:
    """Write a search's results to its directory.

    `candidates` are those of this search, `scored` is everything scored in the run: the front is taken from it.
    `losses` are those of trained finalists: Architecture -> {update: nats per token}. The picture has them in `scale`.
    """
    front = pareto_front(scored, key=lambda candidate: (candidate.predicted_ms, candidate.valid_nats))
    files.write_json(directory / "front.json", [candidate.to_dict() for candidate in front])
    files.write_json(directory / "candidates.json", [candidate.to_dict() for candidate in candidates])
    files.write_json(directory / "finalists.json", [_with_losses(finalist, losses) for finalist in finalists])
    files.write_json(directory / "history.json", history)
    draw_front(directory / "front.png", scored, front, finalists, choice, scale)
    files.write_yaml(directory / "architecture.yaml", winner.candidate.architecture.to_dict())
    trained = {"trained_nats": losses.get(winner.candidate.architecture, {})}
    files.write_json(directory / "choice.json", choice | trained)


def _with_losses(finalist: Finalist, losses: Mapping[Architecture, Mapping[int, float]]) -> dict[str, Any]:
    return finalist.to_dict() | {"trained_nats": losses.get(finalist.candidate.architecture, {})}


def describe_choice(task: "Task", winner: Finalist, prepared: "Prepared", space: SearchSpace) -> dict[str, Any]:
    """The dictionary of choice.json; latencies in ms with the range of their rounds, loss in nats per token.

    `prepared` is how the Task was prepared. The bundle's size is there if there is a limit of it.
    """
    instruments, budget, limits = prepared.instruments, task.budget, task.limits
    architecture, full = winner.candidate.architecture, space.full_transformer()
    parameters, without_embeddings = count_parameters(architecture, instruments.spec)
    full_parameters, full_without_embeddings = count_parameters(full, instruments.spec)
    return {
        "name": task.name,
        "device": task.device_name,
        "precision": instruments.precision,
        "budget": budget.text,
        "quantile": budget.quantile,
        "budget_ms": winner.budget_ms,
        "limits": to_mapping(limits),
        "architecture": architecture.to_dict(),
        "valid_nats": winner.candidate.valid_nats,
        "predicted_ms": winner.candidate.predicted_ms,
        "measured_ms": winner.latency.ms,
        "measured_range_ms": [winner.latency.low_ms, winner.latency.high_ms],
        "full_ms": winner.full.ms,
        "full_range_ms": [winner.full.low_ms, winner.full.high_ms],
        "taken": winner.latency.taken,
        "conversion": to_mapping(prepared.conversion),
        "parameters": parameters,
        "parameters_without_embeddings": without_embeddings,
        "size_bytes": None if limits.size_bytes is None else instruments.size_bytes(architecture),
        "flops": count_flops(architecture, instruments.spec, *instruments.middle_length),
        "full_parameters": full_parameters,
        "full_parameters_without_embeddings": full_without_embeddings,
        "full_flops": count_flops(full, instruments.spec, *instruments.middle_length),
    }


def finalists_table(
    finalists: Sequence[Finalist],
    winner: Finalist,
    losses: Mapping[Architecture, Mapping[int, float]],
    spec: Spec,
    scale: LossScale,
) -> list[str]:
    """Lines of text: every finalist once, best loss first, the chosen one marked; losses in the LossScale.

    `losses` are those of the trained: Architecture -> {update: loss in nats}; a column for each update.
    """
    latest = {finalist.candidate.architecture: finalist for finalist in finalists}
    updates = sorted({update for by_update in losses.values() for update in by_update})
    heads = "".join(f" {f'at {update}':>9}" for update in updates)
    lines = [
        f"  {scale.head:>10}{heads} {'predicted':>10} {'measured':>10} {'+-':>6} {'budget':>10} {'parameters':>11}"
    ]
    for finalist in sorted(latest.values(), key=lambda finalist: finalist.candidate.valid_nats):
        candidate, mark = finalist.candidate, "*" if finalist is winner else " "
        trained = losses.get(candidate.architecture, {})
        cells = "".join(
            f" {scale.value(trained[update]):9.4f}" if update in trained else " " * 10 for update in updates
        )
        parameters = count_parameters(candidate.architecture, spec)[0] / 1e6
        lines.append(
            f"{mark} {scale.value(candidate.valid_nats):10.4f}{cells} {format_ms(candidate.predicted_ms):>10} "
            f"{format_ms(finalist.latency.ms):>10} {finalist.latency.half_width:6.1%} "
            f"{format_ms(finalist.budget_ms):>10} "
            f"{parameters:9.2f} M  {candidate.architecture.summary()}"
        )
    return lines
