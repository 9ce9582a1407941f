"""The page of a run: ReportData to one self-contained HTML file."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from hat.architecture.stacks import stacks_of
from hat.config import to_mapping
from hat.report.figures import svgs
from hat.report.page import render
from search.report import report_charts as charts
from search.report.architecture_drawing import draw_architecture

if TYPE_CHECKING:
    from search.report.report_data import ReportData, System


def render_page(data: "ReportData", commands: Sequence[str], examples: Sequence[Sequence[tuple[str, str]]]) -> str:
    """The whole page. `commands` are shell lines, `examples` are lists of (label, sentence)."""
    figures = {
        "result": (charts.draw_result, data),
        "progress": (charts.draw_progress, data),
        "predictor": (charts.draw_predictor, data),
        "super": (charts.draw_super_training, data.curves[0], data.loss_scale),
        "sub": (charts.draw_sub_training, data),
    }
    return render(
        __package__,
        "report.html",
        title=f"{data.title} on {data.device}",
        data=data,
        precision=data.precision,
        other=data.other_precision,
        full=data.full,
        doubts=doubts(data),
        colour=charts.colour,
        drawings=[_drawing(data, index, system) for index, system in enumerate(data.systems)],
        crosses=len(stacks_of(data.config.search_space)) > 1,
        figures=svgs(figures),
        examples=examples,
        facts=_facts(data),
        commands=commands,
    )


def doubts(data: "ReportData") -> list[str]:
    """A sentence for each system whose latency was taken on a busy machine."""
    return [
        f"{system.label}: other work had the processor {system.measured.taken:.0%} of the time while its latency was "
        "taken, so nothing is said of budgets and speed-ups by it; end that work, evaluate the bundle again "
        f"(hat-evaluate) and run hat-run again"
        for system in data.systems
        if system.measured.busy
    ]


def _drawing(data: "ReportData", index: int, system: "System") -> dict[str, Any]:
    return {
        "title": system.label,
        "note": f"{system.parameters / 1e6:.2f} M parameters, {system.flops / 1e9:.3f} GFLOPs",
        "colour": charts.colour(index),
        "svg": draw_architecture(system.architecture, data.config.search_space),
    }


def _facts(data: "ReportData") -> dict[str, Any]:
    """What the result came of: {name: text}."""
    search = to_mapping(data.config.search)
    search.pop("latency")  # the budgets are elsewhere
    return {
        "measured on": _listed({key: value for key, value in data.environment.items() if value is not None}),
        "seed": data.config.seed,
        "SuperTransformer": _listed(to_mapping(data.config.super_training)),
        "latency": _listed(to_mapping(data.config.latency)),
        "search": _listed(search),
    }


def _listed(settings: Mapping[str, Any]) -> str:
    return ", ".join(f"{key} {value}" for key, value in settings.items())
