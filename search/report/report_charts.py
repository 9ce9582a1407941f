"""The charts of a search and of a run's report: each draws on matplotlib's axes."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from hat.progress import format_ms
from hat.report.figures import BLUE, FAINT, INK, MARKERS, SERIES, SOFT, VERMILLION, dots, whole_numbers
from latency_predictor.report.device_charts import draw_held_out

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from hat.report.loss_scale import LossScale
    from search.report.report_data import Curve, ReportData


def colour(index: int) -> str:
    """That of the system at this position; 0 is the full-size Transformer."""
    return SOFT if index == 0 else SERIES[(index - 1) % len(SERIES)]


def draw_scored(
    axes: "Axes",
    candidates: Sequence[tuple[float, float, str]],
    front: Sequence[tuple[float, float, str]],
    scale: "LossScale",
) -> None:
    """Candidates and their Pareto front, both lists of (predicted ms, validation loss in nats, one-line summary)."""
    for points, style in (
        (candidates, {"s": 7, "color": FAINT, "label": f"scored ({len(candidates)})"}),
        (front, {"s": 10, "color": INK, "label": "Pareto front"}),
    ):
        titles = [f"{format_ms(x)}, {scale.text(y)}: {text}" for x, y, text in points]
        dots(axes, [x for x, _, _ in points], [scale.value(y) for _, y, _ in points], titles, **style)
    front_losses = [scale.value(y) for _, y, _ in front]
    axes.step([x for x, _, _ in front], front_losses, where="post", color=INK, linewidth=1.0)
    axes.set(xlabel="predicted latency (ms)", ylabel=scale.label)


def draw_result(axes: "Axes", data: "ReportData") -> None:
    """All that was scored, the budgets and the choices."""
    draw_scored(axes, data.candidates, _merged_front(data.fronts.values()), data.loss_scale)
    full_ms = data.full.measured.ms
    axes.axvline(full_ms, color=colour(0), linewidth=1.1, linestyle=":", label=f"full-size: {format_ms(full_ms)}")
    for index, system in enumerate(data.picks, start=1):
        axes.axvline(system.budget_ms, color=colour(index), linewidth=1.1, linestyle="--")
        label = f"{system.label} (dashed: {format_ms(system.budget_ms)})"
        _draw_system(axes, index, system.predicted_ms, data.loss_scale.value(system.valid_nats), label)


def _draw_system(axes: "Axes", index: int, x: float, y: float, label: str) -> None:
    """A large dot with a shape of its own."""
    style: dict[str, Any] = {
        "color": colour(index),
        "marker": MARKERS[index % len(MARKERS)],
        "edgecolor": "white",
        "linewidth": 0.8,
    }
    dots(axes, [x], [y], [label], s=60, zorder=3, label=label, **style)


def _merged_front(fronts: Iterable[Iterable[tuple[float, float, str]]]) -> list[tuple[float, float, str]]:
    front: list[tuple[float, float, str]] = []
    for x, y, text in sorted(point for points in fronts for point in points):
        if not front or y < front[-1][1]:
            front.append((x, y, text))
    return front


def draw_predictor(axes: "Axes", data: "ReportData") -> None:
    """Held-out architectures, predicted against measured, with a band of 10 %; and the systems."""
    systems = [(system.measured.ms, system.predicted_ms) for system in data.systems]
    draw_held_out(axes, data.quality, others_ms=[ms for point in systems for ms in point])
    for index, point in enumerate(systems):
        _draw_system(axes, index, *point, data.systems[index].label)


def draw_progress(axes: "Axes", data: "ReportData") -> None:
    """Best loss after each generation and the median of the parents' losses, one colour a budget."""
    scale = data.loss_scale
    for index, (system, history) in enumerate(zip(data.picks, data.histories.values(), strict=True), start=1):
        style: dict[str, Any]
        generations, style = [row["iteration"] for row in history], {"color": colour(index)}
        best, median = ([scale.value(row[f"{which}_nats"]) for row in history] for which in ("best", "median"))
        axes.plot(generations, best, label=f"{system.label}, best (dashed: median of the parents)", **style)
        axes.plot(generations, median, linestyle="--", linewidth=1.1, **style)
        titles = [f"{scale.text(row['best_nats'])}, {row['evaluations']} scored" for row in history]
        dots(axes, generations, best, titles, s=14, marker=MARKERS[index % len(MARKERS)], **style)
    axes.set(xlabel="generation", ylabel=scale.label)
    whole_numbers(axes)


def draw_super_training(axes: "Axes", curve: "Curve", scale: "LossScale") -> None:
    """Validation loss of each watched SubTransformer while the SuperTransformer trains."""
    named, others = {"largest": BLUE, "smallest": VERMILLION, "mean": SOFT}, "random SubTransformers"
    for name, nats in curve.losses.items():
        losses = [scale.value(loss) for loss in nats]
        if name in named:
            axes.plot(curve.updates, losses, color=named[name], label=name)
        else:
            axes.plot(curve.updates, losses, color=FAINT, linewidth=0.9, zorder=1, label=others)
            others = None  # one entry in the legend
    axes.set(xlabel="update", ylabel=scale.label)


def draw_sub_training(axes: "Axes", data: "ReportData") -> None:
    """Validation loss of the full-size and the chosen Transformers while each is trained on its own."""
    for index, (system, curve) in enumerate(zip(data.systems, data.curves[1:], strict=True)):
        losses = [data.loss_scale.value(loss) for loss in next(iter(curve.losses.values()), [])]
        style: dict[str, Any] = {"color": colour(index), "marker": MARKERS[index % len(MARKERS)], "markersize": 3.5}
        axes.plot(curve.updates, losses, label=system.label, **style)
    axes.set(xlabel="update", ylabel=data.loss_scale.label)
