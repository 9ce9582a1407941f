"""The figures of reports: what a function draws on matplotlib's axes, as SVG for a page or as a PNG file.

Colours can be told apart by the colour-blind (Okabe and Ito's, the light ones darkened to be read on white).
"""

import io
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from hat import files

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.collections import PathCollection


INK, SOFT, FAINT, BAND = "#1d2129", "#565f6c", "#b3bac4", "#e6ebf1"
BLUE, VERMILLION, GREEN, PURPLE, OCHRE = "#0072b2", "#d55e00", "#009e73", "#a3558a", "#b57f00"
SERIES = (BLUE, VERMILLION, GREEN, PURPLE, OCHRE)
MARKERS = ("o", "s", "^", "D", "v")
SIZE_INCHES = (4.8, 3.4)  # small, so that the text is still readable when a phone shrinks the figure
LINE_CHARACTERS = 75  # that a legend has room for side by side, per SIZE_INCHES
HANDLE_CHARACTERS = 8  # that a legend's symbol takes the room of
SETTINGS: Any = {
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


def svgs(charts: Mapping[str, tuple[Any, ...]], size: tuple[float, float] = SIZE_INCHES) -> dict[str, Markup]:
    """SVG elements of charts, {name: (draw, *data)}, as `draw(axes, *data)` draws them, with a legend.

    Names must be unique in a page. The same data give the same text.
    """
    return {name: Markup(_svg(name, draw, data, size)) for name, (draw, *data) in charts.items()}


def _svg(name: str, draw: Callable[..., None], data: Sequence[Any], size: tuple[float, float]) -> str:
    buffer = io.StringIO()
    _save(buffer, draw, data, size, format="svg", transparent=True, metadata=dict.fromkeys(METADATA))
    svg = buffer.getvalue()
    svg = re.sub(r'<a xlink:href="([^"]*)"[^>]*>', r"<g><title>\1</title>", svg[svg.index("<svg") :])
    svg = svg.replace("</a>", "</g>")
    svg = re.sub(r"\n +", "\n", svg)
    svg = re.sub(r'(?<= )(?:d|x|y)="[^"]*"', lambda attribute: _shortened(attribute[0]), svg)
    # Figures share a page: each gets its own ids.
    return re.sub(r'(\bid="|url\(#|href="#)', rf"\g<1>{name}-", svg)


def _shortened(coordinates: str) -> str:
    """The same with hundredths of a point, and without what `specks` repeats."""
    rounded = re.sub(r"-?\d+\.\d+", lambda number: f"{float(number[0]):.2f}".rstrip("0").rstrip("."), coordinates)
    return re.sub(r"M (\S+ \S+) \nL \1 \n?", r"M\1h0", rounded)


def save_png(path: Path | str, draw: Callable[..., None], *data: Any, size: tuple[float, float] = (7.0, 4.6)) -> None:
    """Write what `draw(axes, *data)` draws, with a legend."""
    with files.replacing(path) as temporary:
        _save(temporary, draw, data, size, format="png", dpi=140)


def _save(
    target: Any, draw: Callable[..., None], data: Sequence[Any], size: tuple[float, float], **options: Any
) -> None:
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context(SETTINGS):
        figure = Figure(figsize=size, layout="constrained")
        axes = figure.subplots()
        draw(axes, *data)
        _add_legend(axes)
        figure.savefig(target, **options)


def _add_legend(axes: "Axes") -> None:
    """Under the plot, in as many columns as the labels leave room for."""
    figure: Any
    figure, (handles, labels) = axes.figure, axes.get_legend_handles_labels()
    if labels:
        room = LINE_CHARACTERS * figure.get_size_inches()[0] / SIZE_INCHES[0]
        columns = int(room // (max(map(len, labels)) + HANDLE_CHARACTERS))
        figure.legend(handles, labels, loc="outside lower left", ncols=max(1, columns), columnspacing=1.4)


def dots(axes: "Axes", x: Any, y: Any, titles: Sequence[str] | None = None, **style: Any) -> "PathCollection":
    """A scatter plot. `titles`, if given, are shown when the pointer rests on a dot, in a page."""
    drawn = axes.scatter(x, y, **{"linewidth": 0} | style)
    drawn.set_urls(titles or [None])  # in an SVG a link around each dot, of which `_svg` makes a title
    return drawn


def specks(axes: "Axes", x: Any, y: Any, size: float, color: str, label: str) -> None:
    """A scatter plot without titles, as one path, for thousands of dots; `size` as `s` of `dots`."""
    import numpy as np
    from matplotlib.patches import PathPatch
    from matplotlib.path import Path

    points = np.repeat(np.column_stack([x, y]), 2, axis=0)
    path = Path(points, [Path.MOVETO, Path.LINETO] * len(x))  # a line from each point to itself, whose ends are round
    path.should_simplify = False
    axes.add_patch(PathPatch(path, fill=False, edgecolor=color, linewidth=size**0.5, capstyle="round"))
    dots(axes, [], [], s=size, color=color, label=label)  # in the legend


def whole_numbers(axes: "Axes") -> None:
    """Only integers are marked on the x axis."""
    axes.xaxis.get_major_locator().set_params(integer=True)  # type: ignore[call-arg]
