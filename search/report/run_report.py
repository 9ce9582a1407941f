"""The report of a run: one HTML file without external resources, and the same result as a text table."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from hat import files
from hat.experiment.run_directory import RunDirectory
from hat.progress import format_ms
from hat.report.page import score
from search.report.report_data import ReportData, load_report_data
from search.report.report_page import doubts, render_page

EXAMPLES = 5


def write_report(
    run: RunDirectory,
    device: str,
    names: Sequence[str],
    commands: Sequence[str],
    answer: Callable[[str, Sequence[Any]], Sequence[str]] | None = None,
) -> tuple[Path, ReportData]:
    """Write run.path/report.html for the searches `names` on `device`; returns its path and the ReportData.

    `commands` are shown as the way to reproduce it. `answer(name, sentences) -> sentences`, if given,
    supplies the examples. Raises ArtifactError if a stage's result is missing.
    """
    data = load_report_data(run, device, names)
    examples = _examples(run, data, answer) if answer else []
    path = run.path / "report.html"
    files.write_text(path, render_page(data, commands, examples))
    return path, data


def _examples(
    run: RunDirectory, data: ReportData, answer: Callable[[str, Sequence[Any]], Sequence[str]]
) -> list[list[tuple[str, str]]]:
    sources, references = run.task.judge(run).examples(EXAMPLES)
    answers = {system.label: answer(system.name, sources) for system in data.systems}
    return [
        [("source", source if isinstance(source, str) else " | ".join(source)), ("reference", reference)]
        + [(label, sentences[index]) for label, sentences in answers.items()]
        for index, (source, reference) in enumerate(zip(sources, references, strict=True))
    ]


def result_table(data: ReportData) -> list[str]:
    """Lines of text: one system a line, and what is doubtful."""
    heads = ("", data.score_titles[0], "predicted", "measured", "budget", "speed-up", "parameters", *data.precisions)
    rows = [heads]
    for system in data.systems:
        chosen = system.budget_ms is not None
        rows.append(
            (
                system.label,
                score(system.bundles[data.precision].quality),
                format_ms(system.predicted_ms),
                format_ms(system.measured.ms),
                format_ms(system.budget_ms) if chosen else "",
                f"{system.speedup:.2f}x{'?' if system.busy else ''}" if chosen else "",
                f"{system.parameters / 1e6:.2f} M",
                *(f"{bundle.size_bytes / 1e6:.2f} MB" for bundle in system.bundles.values()),
            )
        )
    notes = [f"A latency is that of {data.latency_note}."] if data.latency_note else []
    widths = [max(len(row[column]) for row in rows) for column in range(len(heads))]
    return (
        [
            "  ".join(_align(cell, width, column) for column, (cell, width) in enumerate(zip(row, widths, strict=True)))
            for row in rows
        ]
        + notes
        + doubts(data)
    )


def _align(cell: str, width: int, column: int) -> str:
    return cell.ljust(width) if column == 0 else cell.rjust(width)
