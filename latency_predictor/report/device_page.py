"""One self-contained HTML page by which a reader can judge a device's latency measurements and their predictor."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hat import files
from hat.report.figures import svgs
from hat.report.page import render
from latency_predictor.fitting.conformal import CONFIDENCE
from latency_predictor.report import device_charts as charts


@dataclass(frozen=True)
class PageData:
    """All that the page shows, as plain values. Errors, shares and margins are fractions, latencies milliseconds.

    `measured_ms` to `stable` hold one value a sample, in the order of measuring, `layers` one tuple of such for each
    stack. Predictions and upper bounds are out of fold; NaN for a sample left out. `history` holds dicts of samples,
    mape and margin, one a refit; `parts` of name, phases_ms and output_ms, one an architecture; `lengths` of name,
    lengths and total_ms; `corpus_lengths` counts sentences by length. Those four may be empty. What lengths count, of
    the last of the phases, is `counted`.
    """

    title: str
    facts: dict[str, str]
    warnings: tuple[str, ...]
    quality: dict
    models: dict
    chosen: str
    why: str
    measured_ms: tuple[float, ...]
    predicted_ms: tuple[float, ...]
    upper_ms: tuple[float, ...]
    layers: dict[str, tuple[int, ...]]
    parameters: tuple[int, ...]
    reference_ms: tuple[float, ...]
    stable: tuple[bool, ...]
    history: tuple[dict, ...]
    stopped: str
    parts: tuple[dict, ...]
    lengths: tuple[dict, ...]
    corpus_lengths: dict
    counted: str


def write_page(path: Path | str, data: PageData) -> None:
    """Replace the file at `path` by the page of this PageData; the same data give the same bytes."""
    measured, predicted = np.array(data.measured_ms, float), np.array(data.predicted_ms, float)
    judged = np.isfinite(measured) & np.isfinite(predicted)
    errors = predicted[judged] / measured[judged] - 1
    page = render(
        __package__,
        "device.html",
        title=data.title,
        data=data,
        judged=len(errors),
        coverage=_coverage(data.quality),
        drift=_drift(data),
        correlation=_correlation_of_neighbours(judged, errors),
        beyond=_share_beyond(data),
        figures=svgs(_charts(data, judged, errors)),
    )
    files.write_text(path, page)


def _coverage(quality: Mapping[str, Any]) -> dict[str, Any]:
    """What is claimed of upper bounds, how far chance takes samples from it, and whether theirs is still in reach."""
    share, samples = quality.get("bound_coverage"), quality.get("at_random")
    if share is None or not samples:
        return {"claimed": CONFIDENCE, "chance": None, "verdict": ""}
    chance = 2 * math.sqrt(CONFIDENCE * (1 - CONFIDENCE) / samples)  # two standard deviations of a binomial share
    return {"claimed": CONFIDENCE, "chance": chance, "verdict": "good" if share >= CONFIDENCE - chance else "bad"}


def _reference(data: PageData) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(numbers, milliseconds, stable) of the samples with which the reference architecture was measured."""
    reference_ms = np.array(data.reference_ms, float)
    known = np.isfinite(reference_ms)
    return np.flatnonzero(known) + 1, reference_ms[known], np.array(data.stable, bool)[known]


def _drift(data: PageData) -> dict[str, Any] | None:
    """What the reference architecture says of the machine; None where it was not measured."""
    _, reference_ms, stable = _reference(data)
    if not len(reference_ms):
        return None
    median = np.median(reference_ms)
    low, high = np.quantile(reference_ms / median - 1, [0.05, 0.95])
    return {"median_ms": median, "low": low, "high": high, "unstable": np.sum(~stable), "samples": len(stable)}


def _correlation_of_neighbours(judged: np.ndarray, errors: np.ndarray) -> float | None:
    """That of the errors of samples that were measured one after the other; None where too few were."""
    by_number = np.full(len(judged), np.nan)
    by_number[judged] = errors
    pairs = np.stack([by_number[:-1], by_number[1:]])
    pairs = pairs[:, np.isfinite(pairs).all(axis=0)]
    return np.corrcoef(pairs)[0, 1] if pairs.shape[1] >= 10 and pairs.std(axis=1).all() else None


def _lines(data: PageData) -> list[dict[str, Any]]:
    """Those of the `lengths` that have more than one point."""
    return [line for line in data.lengths if len(set(line["lengths"])) > 1]


def _share_beyond(data: PageData) -> float | None:
    """The share of the corpus's sentences that are longer than the longest measured; None where that isn't known."""
    if not _lines(data) or not data.corpus_lengths:
        return None
    longest = max(max(line["lengths"]) for line in _lines(data))
    beyond = sum(count for length, count in data.corpus_lengths.items() if length > longest)
    return beyond / sum(data.corpus_lengths.values())


def _charts(data: PageData, judged: np.ndarray, errors: np.ndarray) -> dict[str, tuple[Any, ...]]:
    """{name: (function that draws, *its data)} of all figures for which there are data."""
    made: dict[str, tuple[Any, ...]] = {}
    if len(errors):
        columns = data.measured_ms, data.predicted_ms, data.upper_ms, data.parameters
        measured, predicted, upper, parameters = (np.array(column, float)[judged] for column in columns)
        made["accuracy"] = charts.draw_accuracy, measured, predicted, upper
        made["size"] = charts.draw_error_by_size, parameters, errors
        for name, layers in reversed(data.layers.items()):
            made[name] = charts.draw_error_by_depth, np.array(layers)[judged], errors, f"{name} layers"
        made["order"] = charts.draw_error_in_order, np.flatnonzero(judged) + 1, errors
    if _drift(data):
        made["drift"] = charts.draw_drift, *_reference(data)
    if data.history:
        made["history"] = charts.draw_history, *_columns(data.history, "samples", "mape", "margin")
    if data.parts:
        made["parts"] = charts.draw_parts, data.parts
    if _lines(data):
        made["lengths"] = charts.draw_lengths, _lines(data), data.corpus_lengths, data.counted
    return made


def _columns(rows: Iterable[Mapping[str, Any]], *keys: str) -> list[np.ndarray]:
    return [np.array([row.get(key) for row in rows], float) for key in keys]
