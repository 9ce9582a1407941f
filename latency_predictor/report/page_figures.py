"""The figures of the page about a device's latency: each draws plain numbers on matplotlib axes.

Relative errors are predicted / measured - 1, as fractions; a positive one is a prediction that is too high.
"""

import io
import re
from html import escape

import numpy as np

SIZE_INCHES = (4.8, 3.4)  # small, so that the text is still readable when a phone shrinks the figure
INK, SOFT, FAINT = "#1d2129", "#565f6c", "#b3bac4"
SAMPLE, ALERT, BAND = "#1f6fb2", "#d4680a", "#e9edf2"
ENCODER, DECODER, OUTPUT = "#2a8f5b", "#1f6fb2", "#8a4fb5"
ARCHITECTURES = ("#0f8b8d", "#1d2129", "#b8326b", "#a67c00", "#6a51a3")
MARKERS = ("o", "s", "^", "D", "v")
SIZE_GROUPS = 8
SETTINGS = {
    "svg.fonttype": "none",  # text stays text: it can be searched and read out
    "svg.hashsalt": "hat",  # the same ids each time
    "text.parse_math": False,  # names come from users; a $ is a $
    "font.size": 9,
    "axes.edgecolor": FAINT,
    "axes.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#eceef1",
    "xtick.color": SOFT,
    "ytick.color": SOFT,
    "legend.frameon": False,
    "legend.fontsize": 8.5,
}
METADATA = ("Date", "Creator", "Format", "Type")  # left out: the page is the same whenever it is written


def to_svg(name, description, draw, *data):
    """What `draw(axes, *data)` draws, as an <svg> element; the same data give the same text.

    `name` must be unique in the page; `description` is read out in place of the picture.
    """
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context(SETTINGS):
        figure = Figure(figsize=SIZE_INCHES, layout="constrained")
        draw(figure.subplots(), *data)
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", transparent=True, metadata=dict.fromkeys(METADATA))
    svg = buffer.getvalue()
    # Figures share a page: each gets its own ids.
    svg = re.sub(r'(\bid="|url\(#|href="#)', rf"\g<1>{name}-", svg[svg.index("<svg") :])
    return svg.replace("<svg ", f'<svg role="img" aria-label="{escape(description)}" ', 1)


def draw_accuracy(axes, measured_ms, predicted_ms, upper_ms):
    """Predictions over what was measured, a whisker from each up to its upper bound; broken bounds stand out."""
    broken = measured_ms > upper_ms
    low = 0.95 * min(measured_ms.min(), predicted_ms.min())
    high = 1.03 * max(measured_ms.max(), np.nanmax([predicted_ms, upper_ms]))
    ends = np.array([low, high])
    axes.fill_between(ends, 0.9 * ends, 1.1 * ends, color=BAND, linewidth=0, label="within 10 %")
    axes.plot(ends, ends, color=SOFT, linewidth=0.9)
    holds = ~broken
    for where, colour in (holds, SAMPLE), (broken, ALERT):
        axes.vlines(measured_ms[where], predicted_ms[where], upper_ms[where], color=colour, linewidth=0.7, alpha=0.45)
        axes.scatter(measured_ms[where], upper_ms[where], s=9, marker="_", color=colour, linewidth=0.7, alpha=0.7)
    axes.scatter(measured_ms[holds], predicted_ms[holds], s=10, color=SAMPLE, alpha=0.75, linewidth=0, label="sample")
    label = f"above its upper bound ({broken.sum()})"
    axes.scatter(measured_ms[broken], predicted_ms[broken], s=26, color=ALERT, marker="^", linewidth=0, label=label)
    axes.set(xlim=(low, high), ylim=(low, high), xlabel="measured (ms)", ylabel="predicted (ms)")
    axes.legend(loc="upper left")


def draw_error_by_depth(axes, layers, errors, label):
    """One box for each number of layers: the middle half of the relative errors, whiskers from 5 to 95 %."""
    depths = np.unique(layers)
    groups = [100 * errors[layers == depth] for depth in depths]
    axes.axhline(0, color=SOFT, linewidth=0.9)
    axes.boxplot(
        groups,
        positions=range(len(depths)),
        whis=(5, 95),
        widths=0.55,
        patch_artist=True,
        boxprops={"facecolor": "#d5e3f0", "edgecolor": SAMPLE},
        medianprops={"color": INK, "linewidth": 1.4},
        whiskerprops={"color": SAMPLE},
        capprops={"color": SAMPLE},
        flierprops={"marker": "o", "markersize": 2.5, "markerfacecolor": SAMPLE, "markeredgewidth": 0, "alpha": 0.7},
    )
    names = [f"{depth}\n({len(group)})" for depth, group in zip(depths, groups, strict=True)]
    axes.set_xticks(range(len(depths)), names)
    axes.grid(visible=False, axis="x")
    axes.set(xlabel=f"{label} (samples)", ylabel="relative error (%)")


def draw_error_by_size(axes, parameters, errors):
    """Relative errors over the number of parameters, with the median and the 10 to 90 % band of groups of a size."""
    millions, percent = parameters / 1e6, 100 * errors
    axes.axhline(0, color=SOFT, linewidth=0.9)
    axes.scatter(millions, percent, s=8, color=SAMPLE, alpha=0.55, linewidth=0)
    groups = np.array_split(np.argsort(millions, kind="stable"), min(SIZE_GROUPS, len(millions)))
    centres = [np.median(millions[group]) for group in groups]
    low, middle, high = np.transpose([np.quantile(percent[group], [0.1, 0.5, 0.9]) for group in groups])
    axes.fill_between(centres, low, high, color=SAMPLE, alpha=0.14, linewidth=0, label="10 to 90 % of samples")
    axes.plot(centres, middle, color=INK, linewidth=1.4, label="median")
    axes.set(xlabel="parameters (millions)", ylabel="relative error (%)")
    _legend_above(axes)


def draw_drift(axes, numbers, reference_ms, stable):
    """The reference's latency at each sample against its median over the run; unstable samples stand out."""
    percent = 100 * (reference_ms / np.median(reference_ms) - 1)
    axes.axhline(0, color=SOFT, linewidth=0.9)
    axes.plot(numbers, percent, color=FAINT, linewidth=0.7, zorder=1)
    axes.scatter(numbers[stable], percent[stable], s=8, color=SAMPLE, linewidth=0, label="stable sample")
    label = f"unstable sample ({(~stable).sum()})"
    axes.scatter(numbers[~stable], percent[~stable], s=28, color=ALERT, marker="^", linewidth=0, label=label, zorder=3)
    axes.set(xlabel="sample, in the order of measuring", ylabel="reference against its median (%)")
    _whole_numbers(axes)
    _legend_above(axes)


def draw_error_in_order(axes, numbers, errors):
    """Relative errors in the order of measuring."""
    axes.axhline(0, color=SOFT, linewidth=0.9)
    axes.scatter(numbers, 100 * errors, s=8, color=SAMPLE, alpha=0.75, linewidth=0)
    axes.set(xlabel="sample, in the order of measuring", ylabel="relative error (%)")
    _whole_numbers(axes)


def draw_history(axes, samples, mape, margin):
    """Cross-validated error and margin of the upper bound, as fractions, at each refit."""
    axes.plot(samples, 100 * mape, color=SAMPLE, marker="o", markersize=4, label="mean error (MAPE)")
    axes.plot(samples, 100 * margin, color=SOFT, marker="s", markersize=3.5, linestyle="--", label="upper bound margin")
    axes.set(xlabel="samples measured", ylabel="relative to the latency (%)")
    axes.set_ylim(bottom=0)
    _whole_numbers(axes)
    _legend_above(axes)


def draw_parts(axes, names, encoder_ms, decoder_ms, output_ms):
    """A bar for each architecture, the first at the top: milliseconds of encoder, decoder layers and output layer."""
    rows = np.arange(len(names))
    start, widest = np.zeros(len(names)), np.max(encoder_ms + decoder_ms + output_ms)
    for label, colour, part_ms in (
        ("encoder", ENCODER, encoder_ms),
        ("decoder layers", DECODER, decoder_ms),
        ("output layer", OUTPUT, output_ms),
    ):
        axes.barh(rows, part_ms, left=start, height=0.5, color=colour, edgecolor="white", linewidth=0.6, label=label)
        for row, value in enumerate(part_ms):
            if value > 0.09 * widest:  # else the number is wider than its bar
                axes.text(start[row] + value / 2, row, f"{value:.3g}", color="white", ha="center", va="center")
        start = start + part_ms
    for row, (name, total) in enumerate(zip(names, start, strict=True)):
        axes.text(0, row - 0.28, name, color=INK, va="bottom")  # above its bar, where a long name has room
        axes.text(total + 0.01 * widest, row, f"{total:.3g} ms", color=INK, va="center")
    axes.set(xlim=(0, 1.16 * widest), xlabel="latency of one sentence (ms)")
    axes.set_yticks([])
    axes.set_ylim(len(names) - 0.6, -0.65)
    axes.grid(visible=False, axis="y")
    _legend_above(axes)


def draw_lengths(axes, lengths, corpus_lengths):
    """Milliseconds over target length, a line for each architecture; behind them the corpus's sentence lengths.

    `lengths`: dicts of name, target_steps and total_ms; `corpus_lengths`: {target length: count}, maybe empty.
    """
    longest = max(max(line["target_steps"]) for line in lengths)
    if corpus_lengths:
        longest = max(longest, _common_length(corpus_lengths))
        _histogram(axes.twinx(), corpus_lengths)
        axes.set_zorder(1)  # the lines before the histogram
        axes.patch.set_visible(False)
    for index, line in enumerate(lengths):
        order = np.argsort(line["target_steps"])
        steps, total_ms = np.array(line["target_steps"])[order], np.array(line["total_ms"])[order]
        colour, marker = ARCHITECTURES[index % len(ARCHITECTURES)], MARKERS[index % len(MARKERS)]
        axes.plot(steps, total_ms, color=colour, marker=marker, markersize=4.5, linewidth=1.5, label=line["name"])
    axes.set(xlabel="target length (tokens)", ylabel="latency (ms)")
    axes.set_ylim(bottom=0)
    axes.set_xlim(0, 1.05 * longest)
    _whole_numbers(axes)
    axes.legend(loc="upper left")


def _common_length(corpus_lengths):
    """The length that 99 % of the sentences stay within: a single long one must not shrink the figure."""
    lengths = sorted(corpus_lengths)
    counts = np.cumsum([corpus_lengths[length] for length in lengths])
    return lengths[np.searchsorted(counts, 0.99 * counts[-1])]


def _histogram(axes, corpus_lengths):
    tokens = np.arange(min(corpus_lengths) - 1, max(corpus_lengths) + 2)
    counts = np.array([corpus_lengths.get(length, 0) for length in tokens.tolist()])
    percent = 100 * counts / counts.sum()
    axes.fill_between(tokens, percent, step="mid", color="#dfe4ea", linewidth=0)
    axes.set_ylabel("sentences of the corpus (%)", color=SOFT)
    axes.set_ylim(0, 1.4 * percent.max())  # room for the legend
    axes.grid(visible=False)


def _whole_numbers(axes):
    axes.xaxis.get_major_locator().set_params(integer=True)


def _legend_above(axes):
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=3, borderaxespad=0.2, columnspacing=1.2)
