"""One self-contained HTML page by which a reader can judge a device's latency measurements and their predictor."""

import math
from dataclasses import dataclass
from html import escape

import numpy as np

from hat import files
from latency_predictor.fitting.conformal import CONFIDENCE
from latency_predictor.report import page_figures as figures
from latency_predictor.report.page_style import STYLE


@dataclass(frozen=True)
class PageData:
    """All that the page shows, as plain values. Errors, shares and margins are fractions, latencies milliseconds.

    `measured_ms` to `stable` hold one value a sample, in the order of measuring. Predictions and upper bounds are out
    of fold; NaN for a sample left out. `history` holds dicts of samples, mape and margin, one a refit; `parts` of name,
    encoder_ms, decoder_ms and output_ms, one an architecture; `lengths` of name, target_steps and total_ms;
    `corpus_lengths` counts sentences by target length. Those four may be empty.
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
    encoder_layers: tuple[int, ...]
    decoder_layers: tuple[int, ...]
    parameters: tuple[int, ...]
    reference_ms: tuple[float, ...]
    stable: tuple[bool, ...]
    history: tuple[dict, ...]
    stopped: str
    parts: tuple[dict, ...]
    lengths: tuple[dict, ...]
    corpus_lengths: dict


def write_page(path, data):
    """Replace the file at `path` by the page of this PageData; the same data give the same bytes."""
    sections = [_head(data), _cards(data), _models(data), _errors(data), _steadiness(data), _history(data), _time(data)]
    files.write_text(
        path,
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(data.title)}</title><style>{STYLE}</style></head>\n<body><main>\n"
        + "\n".join(sections)
        + "\n</main></body></html>\n",
    )


def _section(title, note, body=""):
    note = f'<p class="note">{escape(note)}</p>' if note else ""
    return f"<section><h2>{escape(title)}</h2>{note}{body}</section>"


def _grid(*parts):
    return f'<div class="grid">{"".join(parts)}</div>'


def _figure(title, note, name, draw, *values):
    """A captioned figure of what `draw` makes of the values; `name` is its unique id."""
    return (
        f"<figure><figcaption>{escape(title)}<small>{escape(note)}</small></figcaption>"
        f"{figures.to_svg(name, title, draw, *values)}</figure>"
    )


def _percent(fraction, digits=1):
    known = fraction is not None and math.isfinite(fraction)
    return f"{100 * fraction:.{digits}f} %" if known else "–"


def _number(value, digits):
    return f"{value:.{digits}f}" if value is not None and math.isfinite(value) else "–"


def _head(data):
    facts = "".join(
        f"<div><dt>{escape(key)}</dt><dd>{escape(str(fact))}</dd></div>" for key, fact in data.facts.items()
    )
    if data.warnings:
        items = "".join(f"<li>{escape(warning)}</li>" for warning in data.warnings)
        warnings = f'<div class="alert"><b>⚠ What may have spoiled the measurements</b><ul>{items}</ul></div>'
    else:
        warnings = '<p class="note">The device gave no cause for a warning.</p>'
    return f'<header><h1>{escape(data.title)}</h1><dl class="facts">{facts}</dl>{warnings}</header>'


def _cards(data):
    quality = data.quality
    cards = [
        ("", _percent(quality.get("mape")), f"mean error (MAPE); RMSE {_number(quality.get('rmse_ms'), 2)} ms"),
        ("", _percent(quality.get("within_5")), "of predictions are within 5 % of the measurement"),
        ("", _percent(quality.get("within_10")), "are within 10 %"),
        ("", _number(quality.get("kendall_tau"), 3), "Kendall τ; 1 would be every pair ranked rightly"),
        _coverage_card(quality),
        ("", _percent(quality.get("bound_margin")), "is how far upper bounds lie above predictions"),
    ]
    body = "".join(
        f'<div class="card"><b class="{css}">{value}</b><span>{escape(text)}</span></div>' for css, value, text in cards
    )
    note = (
        f"All by cross-validation, on the {quality.get('at_random', 0)} samples of "
        f"{quality.get('samples', len(data.measured_ms))} that were drawn at random: each is predicted by a model that "
        "did not see it. So errors and bounds hold for random architectures. Those that a search picks for their low "
        "bound may exceed it more often; they are measured."
    )
    return f'<div class="cards">{body}</div><p class="note">{escape(note)}</p>'


def _coverage_card(quality):
    """The share of upper bounds that held: good unless it is lower than claimed by more than chance explains."""
    share, samples = quality.get("bound_coverage"), quality.get("at_random")
    text = f"of random architectures are below their upper bound; {_percent(CONFIDENCE, 0)} is claimed"
    if share is None or not samples:
        return "", _percent(share), text
    chance = 2 * math.sqrt(CONFIDENCE * (1 - CONFIDENCE) / samples)  # two standard deviations of a binomial share
    css = "good" if share >= CONFIDENCE - chance else "bad"
    return css, _percent(share), f"{text}, ± {_percent(chance)} by chance"


def _models(data):
    rows = []
    for name, row in data.models.items():
        css, mark = (' class="chosen"', " ✓ chosen") if name == data.chosen else ("", "")
        cells = f"<td>{_percent(row.get('mape'), 2)}</td><td>{_number(row.get('rmse_ms'), 3)} ms</td>"
        rows.append(f"<tr{css}><td>{escape(name)}{mark}</td>{cells}</tr>")
    head = "<tr><th>model</th><th>MAPE</th><th>RMSE</th></tr>"
    table = f'<div class="scroll"><table>{head}{"".join(rows)}</table></div>'
    return _section("Which model, and why", f"Chosen: {data.chosen}. {data.why}", table)


def _judged(data):
    """Which samples have a prediction (a mask), and the relative errors of those."""
    measured, predicted = np.array(data.measured_ms, float), np.array(data.predicted_ms, float)
    judged = np.isfinite(measured) & np.isfinite(predicted)
    return judged, predicted[judged] / measured[judged] - 1


def _errors(data):
    title = "How wrong, and where"
    judged, errors = _judged(data)
    if not len(errors):
        return _section(title, "No sample has an out-of-fold prediction.")
    left_out = len(judged) - len(errors)
    note = f"{len(errors)} samples" + (f"; {left_out} more were left out as outliers." if left_out else ".")
    note += " Those that were chosen, for being extreme or uncertain, are shown too."
    latencies = [np.array(column, float)[judged] for column in (data.measured_ms, data.predicted_ms, data.upper_ms)]
    by_depth = "Boxes hold the middle half, whiskers 90 %. All boxes should straddle zero and be of like height."
    decoder, encoder = np.array(data.decoder_layers)[judged], np.array(data.encoder_layers)[judged]
    depth = figures.draw_error_by_depth
    return _section(
        title,
        note,
        _grid(
            _figure("Predicted against measured", _ACCURACY_NOTE, "accuracy", figures.draw_accuracy, *latencies),
            _figure(
                "Error by size",
                "The median should stay at zero, and the band be as wide at either end.",
                "size",
                figures.draw_error_by_size,
                np.array(data.parameters)[judged],
                errors,
            ),
            _figure("Error by decoder depth", by_depth, "decoder", depth, decoder, errors, "decoder layers"),
            _figure("Error by encoder depth", by_depth, "encoder", depth, encoder, errors, "encoder layers"),
        ),
    )


_ACCURACY_NOTE = (
    "Points should hug the diagonal at every latency. Each whisker ends at the upper bound: where it ends below the "
    "diagonal, the bound was broken."
)


def _steadiness(data):
    reference_ms, stable = np.array(data.reference_ms, float), np.array(data.stable, bool)
    numbers = np.arange(1, len(reference_ms) + 1)
    known = np.isfinite(reference_ms)
    judged, errors = _judged(data)
    parts, note = [], "The reference architecture was not measured."
    if known.any():
        note = _drift_note(reference_ms[known], stable[known])
        values = numbers[known], reference_ms[known], stable[known]
        parts.append(_figure("Drift over the run", _DRIFT_NOTE, "drift", figures.draw_drift, *values))
    if len(errors):
        values = np.flatnonzero(judged) + 1, errors
        text = _ORDER_NOTE + _neighbours(judged, errors)
        parts.append(_figure("Error over the run", text, "order", figures.draw_error_in_order, *values))
    return _section("How steady the machine was", note, _grid(*parts))


_DRIFT_NOTE = (
    "The same architecture, measured again with every sample: a flat line is a steady machine. Latencies are "
    "corrected as far as samples follow it; unstable samples kept too wide a spread."
)
_ORDER_NOTE = "No trend and no waves should be left: those would be drift that the correction missed."


def _drift_note(reference_ms, stable):
    median = np.median(reference_ms)
    low, high = (
        f"{100 * value:+.1f}".replace("-", "−") for value in np.quantile(reference_ms / median - 1, [0.05, 0.95])
    )
    return (
        f"The reference architecture took {median:.4g} ms in the median, and in 90 % of the samples between {low} and "
        f"{high} % of that. {np.sum(~stable)} of {len(stable)} samples are unstable."
    )


def _neighbours(judged, errors):
    """A sentence with the correlation of the errors of samples that were measured one after the other."""
    by_number = np.full(len(judged), np.nan)
    by_number[judged] = errors
    pairs = np.stack([by_number[:-1], by_number[1:]])
    pairs = pairs[:, np.isfinite(pairs).all(axis=0)]
    if pairs.shape[1] < 10 or not pairs.std(axis=1).all():
        return ""
    correlation = f"{np.corrcoef(pairs)[0, 1]:.2f}".replace("-", "−")
    return f" Errors of neighbouring samples correlate by {correlation} (0 is ideal; drift brings it near 1)."


def _history(data):
    title = "Whether enough was measured"
    if not data.history:
        return _section(title, data.stopped)
    columns = [np.array([row.get(key) for row in data.history], float) for key in ("samples", "mape", "margin")]
    note = "Both curves should have flattened: then more samples would change little."
    figure = _figure("Error by number of samples", note, "history", figures.draw_history, *columns)
    return _section(title, data.stopped, _grid(figure))


def _time(data):
    parts, remarks = [], []
    if data.parts:
        keys = ("encoder_ms", "decoder_ms", "output_ms")
        columns = [np.array([part[key] for part in data.parts], float) for key in keys]
        names = [part["name"] for part in data.parts]
        note = "The encoder runs once a sentence, the decoder's layers and the output layer once for each word."
        parts.append(_figure("Parts of the latency", note, "parts", figures.draw_parts, names, *columns))
    else:
        remarks.append("The parts of the latency were not measured.")
    lines = [line for line in data.lengths if len(set(line["target_steps"])) > 1]
    if lines:
        corpus = {int(length): count for length, count in data.corpus_lengths.items()}
        note = "Lines should be smooth and bend little." + _beyond(lines, corpus)
        values = lines, corpus
        parts.append(_figure("Latency by sentence length", note, "lengths", figures.draw_lengths, *values))
    else:
        remarks.append("Latency was not measured at several sentence lengths.")
    return _section("Where the time goes", " ".join(remarks), _grid(*parts))


def _beyond(lines, corpus):
    """A sentence on the corpus behind the lines and its share that is longer than anything measured."""
    if not corpus:
        return ""
    longest = max(max(line["target_steps"]) for line in lines)
    share = sum(count for length, count in corpus.items() if length > longest) / sum(corpus.values())
    return f" In grey the corpus: {_percent(share)} of its sentences are longer than the longest measured."
