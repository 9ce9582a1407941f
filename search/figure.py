"""The picture of a search: everything scored, the Pareto front, the budget, the finalists as measured."""

from matplotlib.figure import Figure

from hat import files


def draw_front(path, candidates, front, finalists, choice):
    """Save a PNG: predicted latency (ms) against validation loss (nats per target token)."""
    figure = Figure(figsize=(7.5, 4.8), dpi=130, layout="constrained")
    axes = figure.subplots()
    axes.scatter(*_points(candidates), s=9, color="#b8c0cc", label=f"{len(candidates)} scored", zorder=1)
    axes.step(*_points(front), where="post", color="#1f6fb2", linewidth=1.6, marker="o", markersize=3.5, label="front")
    axes.axvline(choice["budget_ms"], color="#c0392b", linestyle="--", linewidth=1.1, label=_budget_label(choice))
    for finalist in finalists:
        candidate, measured_ms = finalist.candidate, finalist.timing.typical
        axes.plot([candidate.predicted_ms, measured_ms], [candidate.valid_nats] * 2, color="#e08e0b", linewidth=0.9)
        axes.plot(measured_ms, candidate.valid_nats, marker="|", markersize=8, color="#e08e0b")
    winner = choice["measured_ms"], choice["valid_nats"]
    axes.plot(*winner, marker="*", markersize=15, color="#c0392b", linestyle="none", label="chosen, as measured")
    axes.set(xlabel=f"latency on {choice['device']} (ms)", ylabel="validation loss (nats per token)")
    axes.set_title(f"Search {choice['name']}", loc="left", fontsize=11)
    axes.grid(alpha=0.25)
    axes.legend(frameon=False, fontsize=9)
    with files.replacing(path) as temporary:
        figure.savefig(temporary, format="png")


def _points(candidates):
    return [item.predicted_ms for item in candidates], [item.valid_nats for item in candidates]


def _budget_label(choice):
    in_ms = f" = {choice['budget_ms']:.4g} ms" if choice["budget"].endswith("%") else ""
    return f"budget {choice['budget']}{in_ms}"
