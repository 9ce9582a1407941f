"""The charts of a whole front: latency, loss and size, two as axes and the third as the dots' shade and area.

The reader picks the axes and what counts as size by radio buttons; every combination is drawn, and the style sheet
shows the one that is picked, so that nothing needs a script.
"""

from dataclasses import dataclass
from html import escape

from hat.architecture import Architecture
from search.report.front_rows import SIZES, measured
from search.report.report_charts import legend
from search.report.svg import Chart, padded_range

SHADES = 6  # CSS classes s0 (little) to s5 (much)
RADII = (3.2, 8.0)  # of the dots with the least and the most of the third quantity


@dataclass(frozen=True)
class Quantity:
    """What an axis or the shade may be: `value(row)` and its text, with a label for the axis."""

    name: str
    label: str
    value: object
    format: str

    def text(self, row):
        """The quantity of a row with its unit."""
        return self.format.format(self.value(row))


LATENCY = Quantity("latency", "predicted latency (ms)", lambda row: row["predicted_ms"], "{:.2f} ms")
LOSS = Quantity("loss", "validation loss (nats per token)", lambda row: row["valid_nats"], "{:.3f} nats")


def _quantity(size):
    return Quantity(size.label, f"{size.label} ({size.unit})", size.value, "{:.2f} " + size.unit)


def front_explorer(candidates, rows, full):
    """HTML: the front `rows` and the `full` size among the scored `candidates`, with the choice of the axes."""
    measures = [_quantity(size) for size in SIZES]
    views = [lambda size: (LATENCY, LOSS, size), lambda size: (size, LOSS, LATENCY), lambda size: (LATENCY, size, LOSS)]
    names = ["latency and loss", "size and loss", "latency and size"]
    plots = [
        f'<div class="plot view{view} size{index}">{_plot(candidates, rows, full, *axes(size))}</div>'
        for view, axes in enumerate(views)
        for index, size in enumerate(measures)
    ]
    choices = [("Axes", "view", names), ("Size is", "size", [measure.name for measure in measures])]
    inputs = "".join(_inputs(group, len(labels)) for _, group, labels in choices)
    labels = "".join(_labels(*choice) for choice in choices)
    rules = _rules(len(names), len(measures))
    return f'<style>{rules}</style><div class="explorer">{inputs}{labels}{"".join(plots)}</div>'


def _inputs(group, count):
    return "".join(
        f'<input type="radio" name="{group}" id="{group}{index}"{" checked" if index == 0 else ""}>'
        for index in range(count)
    )


def _labels(title, group, labels):
    items = "".join(f'<label for="{group}{index}">{escape(label)}</label>' for index, label in enumerate(labels))
    return f'<div class="choices"><b>{escape(title)}</b>{items}</div>'


def _rules(views, measures):
    """What shows the picked plot, and marks the picked labels."""
    picked = [f"#{group}{index}" for group, count in (("view", views), ("size", measures)) for index in range(count)]
    marked = ", ".join(f'{item}:checked ~ .choices label[for="{item[1:]}"]' for item in picked)
    focused = ", ".join(f'{item}:focus-visible ~ .choices label[for="{item[1:]}"]' for item in picked)
    shown = ", ".join(
        f"#view{view}:checked ~ #size{index}:checked ~ .view{view}.size{index}"
        for view in range(views)
        for index in range(measures)
    )
    return (
        f"{shown} {{ display: block; }} {marked} {{ background: var(--c1); border-color: var(--c1); "
        f"color: var(--card); }} {focused} {{ outline: 2px solid var(--ink); outline-offset: 2px; }}"
    )


def _plot(candidates, rows, full, x, y, third):
    shown = [*candidates, *rows, full]
    measured_ms = [row["measured_ms"] for row in measured([*rows, full])] if x is LATENCY else []
    x_range = padded_range([x.value(row) for row in shown] + measured_ms)
    chart = Chart(x.label, y.label, x_range, padded_range([y.value(row) for row in shown]))
    chart.specks([(x.value(row), y.value(row)) for row in candidates], "candidate")
    if (x, y) == (LATENCY, LOSS):
        chart.line([(x.value(row), y.value(row)) for row in rows], "front thin")
    low, high = _range(rows, third)
    for row in rows:
        shade, radius = _shade(third.value(row), low, high)
        chart.dots([(x.value(row), y.value(row))], f"shade {shade}", radius, [_title(row, x, y, third)])
    title = f"full-size Transformer: {_title(full, x, y, third)}"
    chart.dots([(x.value(full), y.value(full))], "chosen c0", 6.5, [title])
    for number, row in enumerate(measured(rows), start=1):
        _draw_measured(chart, number, row, x, y, _shade(third.value(row), low, high)[1])
    svg = chart.svg(f"{x.name} against {y.name}, {third.name} by shade")
    return svg + _legend(candidates, rows, x, third)


def _draw_measured(chart, number, row, x, y, radius):
    """The number of a measured point; where latency is an axis, a line to what was measured."""
    point = x.value(row), y.value(row)
    if x is LATENCY:
        chart.line([point, (row["measured_ms"], y.value(row))], "c2")
    chart.dots([point], "ring", radius + 2.2)
    chart.label(point, str(number), "number")


def _shade(value, low, high):
    """(CSS class, radius) of a value in a range."""
    share = (value - low) / (high - low) if high > low else 0.0
    return f"s{min(int(share * SHADES), SHADES - 1)}", round(RADII[0] + share * (RADII[1] - RADII[0]), 1)


def _title(row, *quantities):
    figures = ", ".join(quantity.text(row) for quantity in quantities)
    was = "" if row["measured_ms"] is None else f", measured {row['measured_ms']:.2f} ms"
    return f"{figures}{was}: {Architecture.from_dict(row['architecture']).summary()}"


def _legend(candidates, rows, x, third):
    low, high = _range(rows, third)
    shades = [(_shade(value, low, high)[0], third.format.format(value)) for value in (low, (low + high) / 2, high)]
    shades[0] = shades[0][0], f"{third.name} {shades[0][1]}"
    others = [("ring", f"{len(measured(rows))} measured"), ("c0", "full-size Transformer")]
    if x is LATENCY:
        others.append(("c2", "from predicted to measured latency"))
    return legend([*shades, *others, ("candidate", f"scored ({len(candidates)})")])


def _range(rows, quantity):
    values = [quantity.value(row) for row in rows]
    return min(values), max(values)
