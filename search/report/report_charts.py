"""The report's charts, each a function from ReportData to HTML."""

from html import escape

from search.report.svg import Chart, padded_range

COLOURS = 5  # CSS classes c0 (full-size) and c1 ... c5 (chosen, in order)


def colour(index):
    """CSS class of the system at this position; 0 is the full-size Transformer."""
    return "c0" if index == 0 else f"c{(index - 1) % COLOURS + 1}"


def legend(entries):
    """A line of (CSS class, label) under a chart."""
    items = "".join(f'<li><span class="swatch {css}"></span>{escape(label)}</li>' for css, label in entries)
    return f'<ul class="legend">{items}</ul>'


def pareto_figure(data):
    """Everything that was scored: predicted latency against validation loss, with front, budgets and choices."""
    latencies = [x for x, _, _ in data.candidates] + [system.measured_ms for system in data.systems]
    losses = [y for _, y, _ in data.candidates]
    chart = Chart(
        "predicted latency (ms)", "validation loss (nats per token)", padded_range(latencies), padded_range(losses)
    )
    titles = [f"{text}: {x:.2f} ms, {y:.3f} nats" for x, y, text in data.candidates]
    chart.dots([(x, y) for x, y, _ in data.candidates], "candidate", 2.2, titles)
    limits = [(data.full.measured_ms, f"full-size {data.full.measured_ms:.1f} ms", colour(0))]
    for index, system in enumerate(data.picks, start=1):
        limits.append((system.budget_ms, f"{system.budget} = {system.budget_ms:.1f} ms", colour(index)))
    for limit in sorted(limits):
        chart.vertical(*limit)
    front = _merged_front(data.fronts.values())
    chart.line([(x, y) for x, y, _ in front], "front")
    chart.dots([(x, y) for x, y, _ in front], "front", 2.6, [text for _, _, text in front])
    for index, system in enumerate(data.picks, start=1):
        chart.dots([(system.predicted_ms, system.valid_nats)], f"chosen {colour(index)}", 6.5, [system.label])
    entries = [("candidate", f"scored ({len(data.candidates)})"), ("front", "Pareto front")]
    return chart.svg("Pareto front of latency and loss") + legend(entries + _system_entries(data))


def _merged_front(fronts):
    front = []
    for x, y, text in sorted(point for points in fronts for point in points):
        if not front or y < front[-1][1]:
            front.append((x, y, text))
    return front


def _system_entries(data):
    return [(colour(index), system.label) for index, system in enumerate(data.systems)]


def predictor_figure(data):
    """Held-out architectures, predicted against measured, with a band of 10 %; and the systems of the table."""
    held_out = [(row["measured_ms"], row["predicted_ms"]) for row in data.quality["held_out"]]
    systems = [(system.measured_ms, system.predicted_ms) for system in data.systems]
    low, high = padded_range([value for point in held_out + systems for value in point])
    low = max(low, 0.0)
    chart = Chart("measured latency (ms)", "predicted latency (ms)", (low, high), (low, high))
    band = [(low, low * 1.1), (high / 1.1, high), (high, high), (high, high * 0.9), (low / 0.9, low), (low, low)]
    chart.area(band, "band")
    chart.line([(low, low), (high, high)], "diagonal")
    chart.dots(held_out, "candidate strong", 3.0)
    for index, point in enumerate(systems):
        chart.dots([point], f"chosen {colour(index)}", 6.0, [data.systems[index].label])
    entries = [("candidate", f"held out ({len(held_out)})"), ("band", "within 10 %")]
    return chart.svg("Predicted against measured latency") + legend(entries + _system_entries(data))


def progress_figure(data):
    """Best loss after each generation and the median of the parents' losses, one colour a budget."""
    rows = [row for history in data.histories.values() for row in history]
    losses = [row[key] for row in rows for key in ("best_nats", "median_nats")]
    generations = padded_range([row["iteration"] for row in rows], 0.02)
    chart = Chart("generation", "validation loss (nats per token)", generations, padded_range(losses), whole_x=True)
    entries = []
    for index, (system, history) in enumerate(zip(data.picks, data.histories.values(), strict=True), start=1):
        css = colour(index)
        chart.line([(row["iteration"], row["median_nats"]) for row in history], f"{css} dashed")
        best = [(row["iteration"], row["best_nats"]) for row in history]
        chart.line(best, css)
        chart.dots(best, css, 3.0, [f"{row['best_nats']:.4f} nats, {row['evaluations']} scored" for row in history])
        entries.append((css, f"{system.label}: best (line), median of the parents (dashed)"))
    return chart.svg("Loss by generation of the search") + legend(entries)


def super_training_figure(curve):
    """Validation loss of each watched SubTransformer while the SuperTransformer trains."""
    chart = _training_chart([curve])
    named = {"largest": "c1", "smallest": "c2", "mean": "c0"}
    for name, losses in curve.losses.items():
        css = named.get(name, "candidate thin")
        chart.line(list(zip(curve.updates, losses, strict=True)), css)
    entries = [(css, name) for name, css in named.items() if name in curve.losses]
    return chart.svg("Training of the SuperTransformer") + legend([*entries, ("candidate", "random SubTransformers")])


def sub_training_figure(data):
    """Validation loss of the full-size and the chosen Transformers while each is trained on its own."""
    curves = data.curves[1:]
    chart = _training_chart(curves)
    for index, curve in enumerate(curves):
        losses = next(iter(curve.losses.values()), [])
        points = list(zip(curve.updates, losses, strict=True))
        chart.line(points, colour(index))
        chart.dots(points, colour(index), 2.5)
    return chart.svg("Training of the chosen Transformers") + legend(_system_entries(data))


def _training_chart(curves):
    losses = [loss for curve in curves for values in curve.losses.values() for loss in values]
    last = max((update for curve in curves for update in curve.updates), default=1)
    return Chart("update", "validation loss (nats per token)", (0, last), padded_range(losses or [0.0, 1.0]))
