"""The page of a whole front: self-contained, and every choice of axes shows its own plot."""

import re

import numpy as np
import pytest
from html_pages import check_self_contained, text_of
from matplotlib.figure import Figure
from search_toys import CONFIG, SPACE, latency, loss

from hat.architecture.complexity import count_parameters
from hat.config import from_mapping
from hat.experiment.translation import TranslationExperiment
from hat.report.figures import svgs
from hat.report.loss_scale import NATS
from search.pareto import pareto_front
from search.report.front_charts import LATENCY, draw_front, loss_quantity, measures
from search.report.front_page import render_front_page

CONFIGURED = from_mapping(TranslationExperiment, CONFIG | {"name": "<toy>"}, "toy")
SPEC = CONFIGURED.model_spec(100, 100)
MEASURED = 5


def row(architecture, measured_ms=None):
    return {
        "architecture": architecture.to_dict(),
        "predicted_ms": latency(architecture),
        "valid_nats": loss(architecture),
        "parameters": count_parameters(architecture, SPEC)[0],
        "size_fp32_bytes": 4_000_000 + 1000 * sum(architecture.decoder.ffn_dim),
        "size_int8_bytes": 1_000_000 + 1000 * sum(architecture.encoder.ffn_dim),
        "measured_ms": measured_ms,
        "measured_range_ms": None if measured_ms is None else [0.99 * measured_ms, 1.01 * measured_ms],
    }


LOSS, MEASURES = loss_quantity(NATS), measures(row(SPACE.smallest()))


def front_of(count):
    """(candidates, rows, full) of random architectures, the first few of the front measured."""
    rng = np.random.default_rng(1)
    candidates = [row(SPACE.sample(rng)) for _ in range(count)]
    rows = pareto_front(candidates, key=lambda item: (item["predicted_ms"], item["valid_nats"]))
    timed = [
        item | {"measured_ms": 1.1 * item["predicted_ms"], "measured_range_ms": [1.0, 2.0]} for item in rows[:MEASURED]
    ]
    return candidates, [*timed, *rows[MEASURED:]], row(SPACE.full_transformer(), 12.345)


@pytest.fixture(scope="module")
def page():
    candidates, rows, full = front_of(150)
    return (
        render_front_page(CONFIGURED, "my <device>", candidates, rows, full, ["hat-search --latency 3ms"]),
        rows,
        full,
    )


def test_is_one_self_contained_well_formed_page(page):
    text = check_self_contained(page[0]).text
    assert "my <device>" in text
    assert "hat-search --latency 3ms" in text


def test_shows_what_was_measured(page):
    html, rows, full = page
    text = text_of(html)
    assert "12.35 ms (12.22 to 12.47)" in text
    for item in rows[:MEASURED]:
        assert f"{item['measured_ms']:.2f} ms (1.00 to 2.00)" in text
        assert f"{full['measured_ms'] / item['measured_ms']:.2f}×" in text
    assert len(re.findall('class="architecture"', html)) == MEASURED


def test_every_choice_of_axes_has_a_plot_and_is_shown_alone(page):
    """By the style sheet: a rule that shows a plot names the two buttons that have to be on."""
    html, rows, _ = page
    plots = re.findall(r'<div class="plot (view\d)-(size\d)".*?(<svg.*?</svg>)', html, flags=re.DOTALL)
    views = re.findall(r'<input type="radio" name="view" id="(view\d)"( checked)?>', html)
    sizes = re.findall(r'<input type="radio" name="size" id="(size\d)"( checked)?>', html)
    assert [bool(checked) for _, checked in views] == [True, False, False]
    assert bool(sizes[0][1])
    assert {(view, size) for view, size, _ in plots} == {(view, size) for view, _ in views for size, _ in sizes}
    for view, size, svg in plots:
        assert f"#{view}:checked ~ #{size}:checked ~ .{view}-{size}" in html
        assert len(re.findall("<title>", svg)) == len(rows) + 1  # a dot each, and the full-size Transformer's
    assert ".explorer .plot { display: none;" in html


@pytest.mark.parametrize(
    ("quantities", "third"),
    [
        ((LATENCY, LOSS, MEASURES[0]), "parameters"),
        ((LATENCY, LOSS, MEASURES[1]), "size_fp32_bytes"),
        ((LATENCY, LOSS, MEASURES[2]), "size_int8_bytes"),
        ((MEASURES[0], LOSS, LATENCY), "predicted_ms"),
        ((LATENCY, MEASURES[2], LOSS), "valid_nats"),
    ],
)
def test_the_most_of_the_third_has_the_darkest_and_the_widest_dot(page, quantities, third):
    _, rows, full = page
    figure = Figure()
    axes = figure.subplots()
    draw_front(axes, [], rows, full, *quantities)
    figure.draw_without_rendering()
    (shaded,) = [part for part in axes.collections if part.get_array() is not None]
    points = [(quantities[0].value(row), quantities[1].value(row)) for row in rows]
    np.testing.assert_allclose(shaded.get_offsets(), points)
    order = sorted(range(len(rows)), key=lambda index: rows[index][third])
    areas, light = shaded.get_sizes()[order], shaded.get_facecolors()[order, :3].sum(axis=1)
    assert (np.diff(areas) >= 0).all()
    assert (np.diff(light) <= 0.02).all()
    assert areas[0] < areas[-1]
    assert light[0] > light[-1] + 0.5


def test_thousands_that_were_scored_are_one_path():
    candidates, rows, full = front_of(1000)
    chart = svgs({"chart": (draw_front, candidates, rows, full, LATENCY, LOSS, MEASURES[0])})["chart"]
    path = max(re.findall(' d="(.*?)"', chart, flags=re.DOTALL), key=len)
    drawn = np.array(re.findall(r"M(\S+) (\S+)h0", path), dtype=float)
    expected = np.array([(row["predicted_ms"], row["valid_nats"]) for row in candidates])
    assert len(path) < 20 * len(candidates)
    for axis, direction in enumerate((1, -1)):
        scale, offset = np.polyfit(expected[:, axis], drawn[:, axis], 1)
        np.testing.assert_allclose(drawn[:, axis], scale * expected[:, axis] + offset, atol=0.02)
        assert scale * direction > 0


def test_a_front_of_one_point_has_a_page():
    only = row(SPACE.smallest(), 3.0)
    html = render_front_page(CONFIGURED, "cpu", [only], [only], row(SPACE.full_transformer(), 9.0), [])
    assert "nan" not in check_self_contained(html).text
