"""The charts of a whole front: latency, loss and size, two as axes and the third as the dots' shade and area."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.colors import LinearSegmentedColormap

from hat.architecture.stacks import Architecture
from hat.progress import format_ms
from hat.report.figures import FAINT, INK, SOFT, VERMILLION, dots, specks
from search.report.front_rows import SIZES, measured, sizes_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from hat.report.loss_scale import LossScale


# From light to dark, so that it reads without colours too.
TINTS = ["#f0b429", "#e07b39", "#cf4a63", "#9a3f86", "#5f3f94", "#2b2f73"]
SHADES = LinearSegmentedColormap.from_list("shades", TINTS, N=12)
RADII = (2.6, 6.0)  # of the dots with the least and the most of the third quantity, points


@dataclass(frozen=True)
class Quantity:
    """What an axis or the shade may be: `value(row)`, its text by `format`, and a label for the axis."""

    name: str
    label: str
    value: Callable[[dict[str, Any]], float]
    format: Callable[[float], str]

    def values(self, rows: Sequence[dict[str, Any]]) -> np.ndarray:
        """Those of all rows."""
        return np.array([self.value(row) for row in rows])

    def text(self, row: dict[str, Any]) -> str:
        """The quantity of a row with its unit."""
        return self.format(self.value(row))


LATENCY = Quantity("latency", "predicted latency (ms)", lambda row: row["predicted_ms"], format_ms)


def loss_quantity(scale: "LossScale") -> Quantity:
    """The loss of a row as a LossScale shows it."""
    return Quantity(scale.name, scale.label, lambda row: scale.value(row["valid_nats"]), scale.format.format)


def measures(row: dict[str, Any]) -> list[Quantity]:
    """The sizes that a row tells."""
    return [
        Quantity(size.label, f"{size.label} ({size.unit})", size.value, ("{:.2f} " + size.unit).format)
        for size in sizes_of(row)
    ]


def views(loss: Quantity) -> dict[str, Callable[[Quantity], tuple[Quantity, Quantity, Quantity]]]:
    """{name: function from a size to the two axes and what is shaded}"""
    return {
        f"latency and {loss.name}": lambda size: (LATENCY, loss, size),
        f"size and {loss.name}": lambda size: (size, loss, LATENCY),
        "latency and size": lambda size: (LATENCY, size, loss),
    }


def front_charts(
    candidates: Sequence[dict[str, Any]], rows: Sequence[dict[str, Any]], full: dict[str, Any], loss: Quantity
) -> dict[tuple[int, int], tuple[Any, ...]]:
    """{(view, size): chart}: the front `rows` and the `full` size among the scored `candidates`, by every choice."""
    return {
        (view, size): (draw_front, candidates, rows, full, *axes(measure))
        for view, axes in enumerate(views(loss).values())
        for size, measure in enumerate(measures(full))
    }


def draw_front(
    axes: "Axes",
    candidates: Sequence[dict[str, Any]],
    rows: Sequence[dict[str, Any]],
    full: dict[str, Any],
    x: Quantity,
    y: Quantity,
    third: Quantity,
) -> None:
    """One choice of the Quantities that are the axes and the shade."""
    specks(axes, x.values(candidates), y.values(candidates), 7, FAINT, label=f"scored ({len(candidates)})")
    if x is LATENCY and y.name not in [size.label for size in SIZES]:
        axes.step(x.values(rows), y.values(rows), where="post", color=SOFT, linewidth=0.9)
    values = third.values(rows)
    radii = np.interp(values, [values.min(), values.max()], RADII)
    titles = [_title(row, x, y, third) for row in rows]
    style: dict[str, Any] = {"edgecolor": "white", "linewidth": 0.8, "zorder": 3}
    shaded = dots(axes, x.values(rows), y.values(rows), titles, s=np.pi * radii**2, c=values, cmap=SHADES, **style)
    axes.figure.colorbar(shaded, label=third.label, fraction=0.05)
    title = f"full-size Transformer: {_title(full, x, y, third)}"
    style |= {"s": 70, "color": INK, "marker": "D"}
    dots(axes, [x.value(full)], [y.value(full)], [title], label="full-size Transformer", **style)
    _draw_measured(axes, rows, radii, x, y)
    axes.set(xlabel=x.label, ylabel=y.label)


def _draw_measured(axes: "Axes", rows: Sequence[dict[str, Any]], radii: np.ndarray, x: Quantity, y: Quantity) -> None:
    """Rings and numbers of the measured points; where latency is an axis, lines to what was measured."""
    radii = np.array([radius for row, radius in zip(rows, radii, strict=True) if row["measured_ms"] is not None])
    rows = measured(rows)
    if x is LATENCY:
        ends = [row["measured_ms"] for row in rows]
        label = "from predicted to measured latency"
        axes.hlines(y.values(rows), x.values(rows), ends, color=VERMILLION, linewidth=1.4, label=label)
    style: dict[str, Any] = {
        "s": np.pi * (radii + 1.6) ** 2,
        "facecolor": "none",
        "edgecolor": INK,
        "linewidth": 1.1,
        "zorder": 4,
    }
    dots(axes, x.values(rows), y.values(rows), label=f"{len(rows)} measured", **style)
    for number, row in enumerate(rows, start=1):
        point = x.value(row), y.value(row)
        axes.annotate(str(number), point, (4, 7), textcoords="offset points", weight="bold", zorder=5)


def _title(row: dict[str, Any], *quantities: Quantity) -> str:
    figures = ", ".join(quantity.text(row) for quantity in quantities)
    was = "" if row["measured_ms"] is None else f", measured {format_ms(row['measured_ms'])}"
    return f"{figures}{was}: {Architecture.from_dict(row['architecture']).summary()}"
