"""The picture of a search, a PNG: everything scored, the Pareto front, and what was measured."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hat.report.figures import BLUE, INK, VERMILLION, save_png
from search.report.report_charts import draw_scored

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from hat.report.loss_scale import LossScale
    from search.candidate import Candidate
    from search.finalists import Finalist


def draw_front(
    path: Path | str,
    candidates: "Sequence[Candidate]",
    front: "Sequence[Candidate]",
    finalists: "Sequence[Finalist]",
    choice: dict[str, Any],
    scale: "LossScale",
) -> None:
    """Save latency (ms) against validation loss, with budget and choice."""

    def draw(axes: "Axes") -> None:
        _draw_search(axes, choice["name"], choice["device"], candidates, front, finalists, scale)
        axes.axvline(choice["budget_ms"], color=VERMILLION, linestyle="--", linewidth=1.1, label=_budget_label(choice))
        winner = choice["measured_ms"], scale.value(choice["valid_nats"])
        axes.plot(*winner, marker="*", markersize=14, color=VERMILLION, linestyle="none", label="chosen, as measured")

    save_png(path, draw)


def draw_whole_front(
    path: Path | str,
    name: str,
    device_name: str,
    candidates: "Sequence[Candidate]",
    front: "Sequence[Candidate]",
    finalists: "Sequence[Finalist]",
    scale: "LossScale",
) -> None:
    """Save latency (ms) against validation loss, with the measured points."""

    def draw(axes: "Axes") -> None:
        _draw_search(axes, name, device_name, candidates, front, finalists, scale)
        axes.axvline(finalists[0].full.ms, color=INK, linestyle="--", linewidth=1.1, label="full-size")

    save_png(path, draw)


def _draw_search(
    axes: "Axes",
    name: str,
    device_name: str,
    candidates: "Sequence[Candidate]",
    front: "Sequence[Candidate]",
    finalists: "Sequence[Finalist]",
    scale: "LossScale",
) -> None:
    """What is scored and, with a line from each predicted latency to the measured one, the finalists."""
    draw_scored(axes, _points(candidates), _points(front), scale)
    for finalist in finalists:
        x, y = [finalist.candidate.predicted_ms, finalist.latency.ms], [scale.value(finalist.candidate.valid_nats)] * 2
        label = "from predicted to measured" if finalist is finalists[0] else None
        axes.plot(x, y, color=BLUE, linewidth=0.9, marker="|", markevery=[1], markersize=8, label=label)
    axes.set_title(f"Search {name}", loc="left")
    axes.set_xlabel(f"latency on {device_name} (ms)")


def _points(candidates: "Sequence[Candidate]") -> list[tuple[float, float, str]]:
    return [(each.predicted_ms, each.valid_nats, each.architecture.summary()) for each in candidates]


def _budget_label(choice: dict[str, Any]) -> str:
    in_ms = f" = {choice['budget_ms']:.4g} ms" if choice["budget"].endswith("%") else ""
    return f"budget {choice['budget']}{in_ms}"
