"""The picture of a predictor's quality: predicted against measured latency of held-out samples."""

from hat.files import replacing


def draw_predicted_against_measured(quality, title, path):
    """Write a PNG scatter of `quality["held_out"]` with the 10 % band."""
    from matplotlib.figure import Figure

    measured = [pair["measured_ms"] for pair in quality["held_out"]]
    predicted = [pair["predicted_ms"] for pair in quality["held_out"]]
    low, high = 0.95 * min(measured + predicted), 1.05 * max(measured + predicted)
    figure = Figure(figsize=(5, 5), layout="constrained")
    axes = figure.subplots()
    axes.fill_between([low, high], [0.9 * low, 0.9 * high], [1.1 * low, 1.1 * high], color="0.92", label="within 10 %")
    axes.plot([low, high], [low, high], color="0.5", linewidth=1)
    axes.scatter(measured, predicted, s=18, alpha=0.7, color="tab:blue", edgecolors="none")
    axes.set(xlim=(low, high), ylim=(low, high), xlabel="measured (ms)", ylabel="predicted (ms)", aspect="equal")
    axes.set_title(f"{title}\nMAPE {quality['mape']:.1%}, Kendall tau {quality['kendall_tau']:.3f}", fontsize=11)
    axes.legend(loc="upper left", frameon=False)
    with replacing(path) as temporary:
        figure.savefig(temporary, format="png", dpi=150)
