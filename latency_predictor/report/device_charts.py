"""The charts of the page about a device's latency: each draws plain numbers on matplotlib's axes.

Relative errors are predicted / measured - 1, as fractions; a positive one is a prediction that is too high.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from hat.report.figures import (
    BAND,
    BLUE,
    FAINT,
    GREEN,
    INK,
    MARKERS,
    OCHRE,
    PURPLE,
    SERIES,
    SOFT,
    VERMILLION,
    dots,
    whole_numbers,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SAMPLE, ALERT = BLUE, VERMILLION
PART_COLOURS = (OCHRE, GREEN, BLUE, PURPLE)  # of the last phases and of the output layer
SIZE_GROUPS = 8


def draw_held_out(axes: "Axes", quality: dict[str, Any], title: str = "", others_ms: Iterable[float] = ()) -> None:
    """Predictions over what was measured of the samples by which a predictor's quality was found.

    There is room for `others_ms`, which are drawn elsewhere, too.
    """
    measured, predicted = np.transpose([(row["measured_ms"], row["predicted_ms"]) for row in quality["held_out"]])
    shown = [*measured, *predicted, *others_ms]
    draw_within_10_percent(axes, 0.95 * min(shown), 1.05 * max(shown))
    dots(axes, measured, predicted, s=14, color=SOFT, alpha=0.7, label=f"held out ({len(measured)})")
    axes.set_title(title, loc="left")


def draw_within_10_percent(axes: "Axes", low: float, high: float) -> None:
    """Axes of predicted over measured milliseconds, with a diagonal and a band around it."""
    ends = np.array([low, high])
    axes.fill_between(ends, 0.9 * ends, 1.1 * ends, color=BAND, linewidth=0, label="within 10 %")
    axes.plot(ends, ends, color=SOFT, linewidth=0.9)
    axes.set(xlim=(low, high), ylim=(low, high), xlabel="measured (ms)", ylabel="predicted (ms)")


def draw_accuracy(axes: "Axes", measured_ms: np.ndarray, predicted_ms: np.ndarray, upper_ms: np.ndarray) -> None:
    """Predictions over what was measured, a whisker from each up to its upper bound; broken bounds stand out."""
    broken = measured_ms > upper_ms
    low = 0.95 * min(measured_ms.min(), predicted_ms.min())
    high = 1.03 * max(measured_ms.max(), np.nanmax([predicted_ms, upper_ms]))
    draw_within_10_percent(axes, low, high)
    holds = ~broken
    for where, colour in (holds, SAMPLE), (broken, ALERT):
        axes.vlines(measured_ms[where], predicted_ms[where], upper_ms[where], color=colour, linewidth=0.7, alpha=0.45)
        axes.scatter(measured_ms[where], upper_ms[where], s=9, marker="_", color=colour, linewidth=0.7, alpha=0.7)
    dots(axes, measured_ms[holds], predicted_ms[holds], s=10, color=SAMPLE, alpha=0.75, label="sample")
    label = f"above its upper bound ({broken.sum()})"
    dots(axes, measured_ms[broken], predicted_ms[broken], s=26, color=ALERT, marker="^", label=label)


def draw_error_by_depth(axes: "Axes", layers: np.ndarray, errors: np.ndarray, label: str) -> None:
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


def draw_error_by_size(axes: "Axes", parameters: np.ndarray, errors: np.ndarray) -> None:
    """Relative errors over the number of parameters, with the median and the 10 to 90 % band of groups of a size."""
    millions, percent = parameters / 1e6, 100 * errors
    axes.axhline(0, color=SOFT, linewidth=0.9)
    dots(axes, millions, percent, s=8, color=SAMPLE, alpha=0.55)
    groups = np.array_split(np.argsort(millions, kind="stable"), min(SIZE_GROUPS, len(millions)))
    centres = [np.median(millions[group]) for group in groups]
    low, middle, high = np.transpose([np.quantile(percent[group], [0.1, 0.5, 0.9]) for group in groups])
    axes.fill_between(centres, low, high, color=SAMPLE, alpha=0.14, linewidth=0, label="10 to 90 % of samples")
    axes.plot(centres, middle, color=INK, linewidth=1.4, label="median")
    axes.set(xlabel="parameters (millions)", ylabel="relative error (%)")


def draw_drift(axes: "Axes", numbers: np.ndarray, reference_ms: np.ndarray, stable: np.ndarray) -> None:
    """The reference's latency at each sample against its median over the run; unstable samples stand out."""
    percent = 100 * (reference_ms / np.median(reference_ms) - 1)
    axes.axhline(0, color=SOFT, linewidth=0.9)
    axes.plot(numbers, percent, color=FAINT, linewidth=0.7, zorder=1)
    dots(axes, numbers[stable], percent[stable], s=8, color=SAMPLE, label="stable sample")
    label = f"unstable sample ({(~stable).sum()})"
    dots(axes, numbers[~stable], percent[~stable], s=28, color=ALERT, marker="^", label=label, zorder=3)
    axes.set(xlabel="sample, in the order of measuring", ylabel="reference against its median (%)")
    whole_numbers(axes)


def draw_error_in_order(axes: "Axes", numbers: np.ndarray, errors: np.ndarray) -> None:
    """Relative errors in the order of measuring."""
    axes.axhline(0, color=SOFT, linewidth=0.9)
    dots(axes, numbers, 100 * errors, s=8, color=SAMPLE, alpha=0.75)
    axes.set(xlabel="sample, in the order of measuring", ylabel="relative error (%)")
    whole_numbers(axes)


def draw_history(axes: "Axes", samples: np.ndarray, mape: np.ndarray, margin: np.ndarray) -> None:
    """Cross-validated error and margin of the upper bound, as fractions, at each refit."""
    axes.plot(samples, 100 * mape, color=SAMPLE, marker="o", markersize=4, label="mean error (MAPE)")
    axes.plot(samples, 100 * margin, color=SOFT, marker="s", markersize=3.5, linestyle="--", label="upper bound margin")
    axes.set(xlabel="samples measured", ylabel="relative to the latency (%)")
    axes.set_ylim(bottom=0)
    whole_numbers(axes)


def draw_parts(axes: "Axes", parts: Sequence[Mapping[str, Any]]) -> None:
    """A bar for each architecture, the first at the top: milliseconds of the phases and of the output layer.

    `parts`: mappings of name, phases_ms {phase: milliseconds}, and output_ms.
    """
    names = [part["name"] for part in parts]
    columns = {phase: np.array([part["phases_ms"][phase] for part in parts]) for phase in parts[0]["phases_ms"]}
    columns["output layer"] = np.array([part["output_ms"] for part in parts])
    rows, start, widest = np.arange(len(names)), np.zeros(len(names)), np.max(sum(columns.values()))
    for (label, part_ms), colour in zip(columns.items(), PART_COLOURS[-len(columns) :], strict=True):
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


def draw_lengths(
    axes: "Axes", lengths: Sequence[dict[str, Any]], corpus_lengths: Mapping[int, int], counted: str
) -> None:
    """Milliseconds over lengths, a line for each architecture; behind them the corpus's sentence lengths.

    `lengths`: dicts of name, lengths and total_ms; `corpus_lengths`: {length: count}, maybe empty; `counted`: what they
    count.
    """
    longest = max(max(line["lengths"]) for line in lengths)
    if corpus_lengths:
        longest = max(longest, _common_length(corpus_lengths))
        _histogram(axes.twinx(), corpus_lengths)
        axes.set_zorder(1)  # the lines before the histogram
        axes.patch.set_visible(False)
    for index, line in enumerate(lengths):
        order = np.argsort(line["lengths"])
        steps, total_ms = np.array(line["lengths"])[order], np.array(line["total_ms"])[order]
        colour, marker = SERIES[index % len(SERIES)], MARKERS[index % len(MARKERS)]
        axes.plot(steps, total_ms, color=colour, marker=marker, markersize=4.5, linewidth=1.5, label=line["name"])
    axes.set(xlabel=counted, ylabel="latency (ms)")
    axes.set_ylim(bottom=0)
    axes.set_xlim(0, 1.05 * longest)
    whole_numbers(axes)


def _common_length(corpus_lengths: Mapping[int, int]) -> int:
    """The length that 99 % of the sentences stay within: a single long one must not shrink the figure."""
    lengths = sorted(corpus_lengths)
    counts = np.cumsum([corpus_lengths[length] for length in lengths])
    return lengths[np.searchsorted(counts, 0.99 * counts[-1])]


def _histogram(axes: "Axes", corpus_lengths: Mapping[int, int]) -> None:
    tokens = np.arange(min(corpus_lengths) - 1, max(corpus_lengths) + 2)
    counts = np.array([corpus_lengths.get(length, 0) for length in tokens.tolist()])
    percent = 100 * counts / counts.sum()
    axes.fill_between(tokens, percent, step="mid", color="#dfe4ea", linewidth=0)
    axes.set_ylabel("sentences of the corpus (%)", color=SOFT)
    axes.set_ylim(0, 1.4 * percent.max())
    axes.grid(visible=False)
