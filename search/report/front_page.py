"""The report of a search for the whole front: rows of front.json to one self-contained HTML page."""

from collections.abc import Sequence
from typing import Any

from hat.architecture.space import SearchSpace
from hat.architecture.stacks import Architecture, stacks_of
from hat.experiment.sections import Experiment
from hat.progress import format_ms
from hat.report.figures import SERIES, svgs
from hat.report.page import render
from hat.tasks import task_of
from search.report.architecture_drawing import draw_architecture
from search.report.front_charts import front_charts, loss_quantity, measures, views
from search.report.front_rows import measured, sizes_of

CHART_INCHES = (7.6, 4.4)


def render_front_page(
    config: Experiment,
    device_name: str,
    candidates: Sequence[dict[str, Any]],
    rows: Sequence[dict[str, Any]],
    full: dict[str, Any],
    commands: Sequence[str],
) -> str:
    """The whole page. `candidates`, `rows` and `full` are as in the files; `commands` are shell lines to go on with."""
    task = task_of(config)
    loss = loss_quantity(task.loss_scale)
    drawn = front_charts(candidates, rows, full, loss)
    charts = {f"view{view}-size{size}": chart for (view, size), chart in drawn.items()}
    points = {f"Point {number}": row for number, row in enumerate(measured(rows), start=1)}
    return render(
        __package__,
        "front.html",
        title=f"{task.title(config)} on {device_name}: latency and {loss.name}",
        config=config,
        candidates=candidates,
        rows=rows,
        points={"full-size": full} | points,
        full=full,
        sizes=sizes_of(full),
        loss=loss,
        latency_note=task.latency_note(config),
        choices={"view": ("Axes", list(views(loss))), "size": ("Size is", [size.name for size in measures(full)])},
        figures=svgs(charts, CHART_INCHES),
        architecture=_architecture,
        drawings=[_drawing(name, row, config.search_space) for name, row in points.items()],
        crosses=len(stacks_of(config.search_space)) > 1,
        commands=commands,
    )


def _architecture(row: dict[str, Any]) -> Architecture:
    return Architecture.from_dict(row["architecture"])


def _drawing(name: str, row: dict[str, Any], space: SearchSpace) -> dict[str, Any]:
    return {
        "title": name,
        "note": ", ".join([f"{format_ms(row['measured_ms'])} measured", *(size.format(row) for size in sizes_of(row))]),
        "colour": SERIES[0],
        "svg": draw_architecture(_architecture(row), space),
    }
