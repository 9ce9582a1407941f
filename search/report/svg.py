"""Small charts as inline SVG. Colours come from the page's CSS classes, so charts read in light and in dark."""

import math
from html import escape

WIDTH, HEIGHT = 640, 360
LEFT, RIGHT, TOP, BOTTOM = 66, 14, 36, 54
CHARACTER = 7.4  # width of one character of a chart's labels, in pixels
LABEL_ROW = 17


def nice_ticks(low, high, count=6, whole=False):
    """About `count` round numbers from `low` to `high`, steps of 1, 2 or 5 times a power of ten; `whole`: integers."""
    if not high > low:
        return [low]
    rough = (high - low) / count
    power = 10 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough)
    step = max(step, 1) if whole else step
    first = math.ceil(low / step - 1e-9)
    return [round(index * step, 12) for index in range(first, math.floor(high / step + 1e-9) + 1)]


def padded_range(values, share=0.06):
    """(low, high) of finite numbers with a margin of `share` on both sides."""
    low, high = min(values), max(values)
    margin = (high - low) * share or abs(high) * share or 1.0
    return low - margin, high + margin


class Chart:
    """One plot with linear axes. Parts are drawn in the order of the calls; points are (x, y) in data units.

    `whole_x`: only integers are marked on the x axis.
    """

    def __init__(self, x_label, y_label, x_range, y_range, whole_x=False):
        self._x_range, self._y_range, self._whole_x = x_range, y_range, whole_x
        self._parts = []
        self._label_ends = []
        self._axes(x_label, y_label)

    def _x(self, value):
        low, high = self._x_range
        return LEFT + (value - low) / (high - low) * (WIDTH - LEFT - RIGHT)

    def _y(self, value):
        low, high = self._y_range
        return HEIGHT - BOTTOM - (value - low) / (high - low) * (HEIGHT - TOP - BOTTOM)

    def _axes(self, x_label, y_label):
        bottom, right = HEIGHT - BOTTOM, WIDTH - RIGHT
        for value in nice_ticks(*self._y_range):
            y = self._y(value)
            self._parts.append(f'<line class="grid" x1="{LEFT}" x2="{right}" y1="{y:.1f}" y2="{y:.1f}"/>')
            self._text(LEFT - 8, y + 4, f"{value:g}", "tick", "end")
        for value in nice_ticks(*self._x_range, whole=self._whole_x):
            self._text(self._x(value), bottom + 20, f"{value:g}", "tick", "middle")
        self._parts.append(f'<line class="axis" x1="{LEFT}" x2="{right}" y1="{bottom}" y2="{bottom}"/>')
        self._text((LEFT + right) / 2, HEIGHT - 8, x_label, "label", "middle")
        middle = (TOP + bottom) / 2
        self._parts.append(
            f'<text class="label" text-anchor="middle" transform="translate(14 {middle:.1f}) rotate(-90)">'
            f"{escape(y_label)}</text>"
        )

    def _text(self, x, y, text, css, anchor):
        self._parts.append(
            f'<text class="{css}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(str(text))}</text>'
        )

    def _path(self, points):
        return " ".join(f"{self._x(x):.1f},{self._y(y):.1f}" for x, y in points)

    def line(self, points, css):
        """A line through the points."""
        self._parts.append(f'<polyline class="line {css}" points="{self._path(points)}"/>')

    def area(self, points, css):
        """A filled polygon."""
        self._parts.append(f'<polygon class="area {css}" points="{self._path(points)}"/>')

    def dots(self, points, css, radius=3.0, titles=None):
        """A dot at each point; `titles` are shown when the pointer rests on them."""
        for index, (x, y) in enumerate(points):
            title = f"<title>{escape(titles[index])}</title>" if titles else ""
            self._parts.append(
                f'<circle class="dot {css}" cx="{self._x(x):.1f}" cy="{self._y(y):.1f}" r="{radius}">{title}</circle>'
            )

    def specks(self, points, css):
        """Small dots, many of them in little space: without titles, their size is the style sheet's."""
        path = "".join(f"M{self._x(x):.0f} {self._y(y):.0f}h0" for x, y in points)
        self._parts.append(f'<path class="specks {css}" d="{path}"/>')

    def label(self, point, text, css="label"):
        """Text right above a point."""
        x, y = point
        self._text(self._x(x), self._y(y) - 12, text, css, "middle")

    def vertical(self, x, text, css):
        """A dashed vertical line, labelled above the plot on the first free row; add lines from left to right."""
        position, half = self._x(x), len(text) * CHARACTER / 2
        centre = min(max(position, LEFT + half), WIDTH - RIGHT - half)
        rows = range(len(self._label_ends) + 1)
        row = next(row for row in rows if row == len(self._label_ends) or self._label_ends[row] < centre - half - 8)
        self._label_ends[row : row + 1] = [centre + half]
        top = TOP - 6 - LABEL_ROW * row
        ends = f'x1="{position:.1f}" x2="{position:.1f}" y1="{top + 3}" y2="{HEIGHT - BOTTOM}"'
        self._parts.append(f'<line class="vertical {css}" {ends}/>')
        self._text(centre, top, text, f"label {css}", "middle")

    def svg(self, description):
        """The chart as an <svg> element; `description` is read out in its place."""
        above = max(0, LABEL_ROW * len(self._label_ends) - TOP + LABEL_ROW)
        return (
            f'<svg class="chart" viewBox="0 {-above} {WIDTH} {HEIGHT + above}" role="img" '
            f'aria-label="{escape(description)}">{"".join(self._parts)}</svg>'
        )
