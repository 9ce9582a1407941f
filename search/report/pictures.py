"""The picture of a search: everything scored, the Pareto front, and what was measured."""

import contextlib

from matplotlib.figure import Figure

from hat import files


def draw_front(path, candidates, front, finalists, choice):
    """Save a PNG: predicted latency (ms) against validation loss (nats per target token), with budget and choice."""
    with _picture(path, choice["name"], choice["device"]) as axes:
        _draw_scored(axes, candidates, front)
        axes.axvline(choice["budget_ms"], color="#c0392b", linestyle="--", linewidth=1.1, label=_budget_label(choice))
        _draw_measured(axes, finalists)
        winner = choice["measured_ms"], choice["valid_nats"]
        axes.plot(*winner, marker="*", markersize=15, color="#c0392b", linestyle="none", label="chosen, as measured")


def draw_whole_front(path, name, device_name, candidates, front, finalists):
    """Save a PNG: predicted latency (ms) against validation loss (nats per target token), with the measured points."""
    with _picture(path, name, device_name) as axes:
        _draw_scored(axes, candidates, front)
        _draw_measured(axes, finalists, label="measured")
        axes.axvline(finalists[0].full.ms, color="#4a5361", linestyle="--", linewidth=1.1, label="full-size")


@contextlib.contextmanager
def _picture(path, name, device_name):
    """Axes of a search's picture, saved at the end."""
    figure = Figure(figsize=(7.5, 4.8), dpi=130, layout="constrained")
    axes = figure.subplots()
    yield axes
    axes.set(xlabel=f"latency on {device_name} (ms)", ylabel="validation loss (nats per token)")
    axes.set_title(f"Search {name}", loc="left", fontsize=11)
    axes.grid(alpha=0.25)
    axes.legend(frameon=False, fontsize=9)
    with files.replacing(path) as temporary:
        figure.savefig(temporary, format="png")


def _draw_scored(axes, candidates, front):
    axes.scatter(*_points(candidates), s=9, color="#b8c0cc", label=f"{len(candidates)} scored", zorder=1)
    axes.step(*_points(front), where="post", color="#1f6fb2", linewidth=1.6, marker="o", markersize=3.5, label="front")


def _draw_measured(axes, finalists, label=None):
    """A line from each predicted latency to the measured one."""
    for finalist in finalists:
        candidate, measured_ms = finalist.candidate, finalist.latency.ms
        axes.plot([candidate.predicted_ms, measured_ms], [candidate.valid_nats] * 2, color="#e08e0b", linewidth=0.9)
        axes.plot(measured_ms, candidate.valid_nats, "|", markersize=8, color="#e08e0b", label=label)
        label = None  # one entry in the legend


def _points(candidates):
    return [item.predicted_ms for item in candidates], [item.valid_nats for item in candidates]


def _budget_label(choice):
    in_ms = f" = {choice['budget_ms']:.4g} ms" if choice["budget"].endswith("%") else ""
    return f"budget {choice['budget']}{in_ms}"
