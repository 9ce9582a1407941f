"""The page of a whole front: self-contained, and every choice of axes shows its own plot."""

import re
from xml.etree import ElementTree

import numpy as np
import pytest
from html_pages import Page
from search_toys import CONFIG, SPACE, latency, loss

from hat.complexity import count_parameters
from hat.config import from_mapping
from hat.experiment import ExperimentConfig
from search.pareto import pareto_front
from search.report.front_page import render_front_page

CONFIGURED = from_mapping(ExperimentConfig, CONFIG | {"name": "<toy>"}, "toy")
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
    html, _, _ = page
    parsed = Page(html)
    assert parsed.open == []
    assert parsed.references == []
    assert "url(" not in html
    assert "<script" not in html
    assert "http" not in html.replace("http://www.w3.org", "")
    for svg in re.findall(r"<svg.*?</svg>", html, flags=re.DOTALL):
        ElementTree.fromstring(svg)
    assert "my <device>" in parsed.text
    assert "hat-search --latency 3ms" in parsed.text


def test_shows_what_was_measured(page):
    html, rows, full = page
    text = Page(html).text
    assert "12.35 ms (12.22 to 12.47)" in text
    for item in rows[:MEASURED]:
        assert f"{item['measured_ms']:.2f} ms (1.00 to 2.00)" in text
        assert f"{full['measured_ms'] / item['measured_ms']:.2f}×" in text
    assert len(re.findall('class="architecture"', html)) == MEASURED


def test_every_choice_of_axes_has_a_plot_and_is_shown_alone(page):
    """By the style sheet: a rule that shows a plot names the two buttons that have to be on."""
    html, rows, _ = page
    plots = re.findall(r'<div class="plot (view\d) (size\d)">(<svg.*?</svg>)', html, flags=re.DOTALL)
    views = re.findall(r'<input type="radio" name="view" id="(view\d)"( checked)?>', html)
    sizes = re.findall(r'<input type="radio" name="size" id="(size\d)"( checked)?>', html)
    assert [bool(checked) for _, checked in views] == [True, False, False]
    assert bool(sizes[0][1])
    assert {(view, size) for view, size, _ in plots} == {(view, size) for view, _ in views for size, _ in sizes}
    for view, size, svg in plots:
        assert f"#{view}:checked ~ #{size}:checked ~ .{view}.{size}" in html
        dots = re.findall('class="dot shade s[0-5]"', svg)
        assert len(dots) == len(rows)
    assert ".explorer .plot { display: none;" in html


@pytest.mark.parametrize(
    ("plot", "third"),
    [
        ("view0 size0", "parameters"),
        ("view0 size1", "size_fp32_bytes"),
        ("view0 size2", "size_int8_bytes"),
        ("view1 size0", "predicted_ms"),
        ("view2 size2", "valid_nats"),
    ],
)
def test_the_most_of_the_third_has_the_darkest_and_the_widest_dot(page, plot, third):
    html, rows, _ = page
    svg = re.search(rf'class="plot {plot}">(<svg.*?</svg>)', html, flags=re.DOTALL)[1]
    dots = [dot for dot in ElementTree.fromstring(svg).iter("circle") if "shade" in dot.get("class")]
    order = sorted(range(len(rows)), key=lambda index: rows[index][third])
    radii = [float(dots[index].get("r")) for index in order]
    assert radii == sorted(radii)
    assert radii[0] < radii[-1]
    assert (dots[order[0]].get("class"), dots[order[-1]].get("class")) == ("dot shade s0", "dot shade s5")


def test_a_front_of_one_point_has_a_page():
    only = row(SPACE.smallest(), 3.0)
    html = render_front_page(CONFIGURED, "cpu", [only], [only], row(SPACE.full_transformer(), 9.0), [])
    assert Page(html).open == []
    assert "nan" not in html
