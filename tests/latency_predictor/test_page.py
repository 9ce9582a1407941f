"""The page about a device's latency: self-contained, safe, the same each time, and showing the numbers it was given."""

import re
from dataclasses import replace

import numpy as np
import pytest
from html_pages import Page, check_self_contained, text_of
from matplotlib.figure import Figure

from latency_predictor.report import device_charts
from latency_predictor.report.device_page import PageData, write_page

pytestmark = pytest.mark.filterwarnings("error::UserWarning", "error::RuntimeWarning")

NAN = float("nan")
LONG_NAME = "full-size, six encoder and six decoder layers of 640"
SAMPLES = 40


def made_up_page():
    """Forty samples; the third has no prediction, the fifth broke its bound, the eighth was unstable."""
    rng = np.random.default_rng(0)
    encoder, decoder = rng.integers(2, 7, SAMPLES), rng.integers(1, 7, SAMPLES)
    measured = 2 + 0.6 * encoder + 4.0 * decoder
    predicted = measured * rng.uniform(0.98, 1.02, SAMPLES)
    predicted[2] = NAN
    upper = 1.05 * predicted
    upper[4] = 0.99 * measured[4]
    return PageData(
        title="Latency on cpu",
        facts={"device": "cpu", "CPU": "Xeon 8481C", "onnxruntime": "1.23.2"},
        warnings=("governor is powersave",),
        quality={
            "mape": 0.0123,
            "within_5": 0.97,
            "within_10": 0.995,
            "kendall_tau": 0.951,
            "rmse_ms": 0.42,
            "samples": SAMPLES + 20,
            "at_random": SAMPLES,
            "bound_coverage": 0.948,
            "bound_margin": 0.046,
        },
        models={"ridge": {"mape": 0.0123, "rmse_ms": 0.417}, "mlp": {"mape": 0.0345, "rmse_ms": 1.02}},
        chosen="ridge",
        why="It has the lowest error.",
        measured_ms=tuple(measured.tolist()),
        predicted_ms=tuple(predicted.tolist()),
        upper_ms=tuple(upper.tolist()),
        layers={"encoder": tuple(encoder.tolist()), "decoder": tuple(decoder.tolist())},
        parameters=tuple((1_000_000 * (encoder + decoder)).tolist()),
        reference_ms=tuple(rng.uniform(18, 19, SAMPLES).tolist()),
        stable=tuple(index != 7 for index in range(SAMPLES)),
        history=({"samples": 20, "mape": 0.03, "margin": 0.08}, {"samples": 40, "mape": 0.012, "margin": 0.046}),
        stopped="The error is below 2 %.",
        parts=({"name": LONG_NAME, "phases_ms": {"encode": 4.1, "decode": 30.2}, "output_ms": 4.9},),
        lengths=({"name": LONG_NAME, "lengths": [20, 5, 40], "total_ms": [50.0, 14.0, 96.0]},),
        corpus_lengths={5: 10, 12: 60, 30: 20, 90: 10},
        counted="decoder steps",
    )


NOTHING_KNOWN = {**dict.fromkeys(made_up_page().quality), "mape": NAN, "samples": SAMPLES, "at_random": 0}


def without_samples():
    """What is left of the page if nothing was measured: no figure at all."""
    columns = ("measured_ms", "predicted_ms", "upper_ms", "parameters")
    nothing = dict.fromkeys((*columns, "reference_ms", "stable", "history", "parts", "lengths"), ())
    return replace(made_up_page(), **nothing, layers={"encoder": (), "decoder": ()})


def render(tmp_path, data):
    write_page(tmp_path / "cpu.html", data)
    return (tmp_path / "cpu.html").read_text(encoding="utf-8")


def axes():
    return Figure().subplots()


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    return render(tmp_path_factory.mktemp("page"), made_up_page())


def test_the_page_is_self_contained(page):
    check_self_contained(page)


def test_the_numbers_are_there(page):
    text = text_of(page)
    for fact in (
        "Xeon 8481C",
        "1.23.2",
        "governor is powersave",
        "It has the lowest error.",
        "The error is below 2 %.",
        "on the 40 samples of 60 that were drawn at random",
    ):
        assert fact in text
    for number in ("1.2 %", "97.0 %", "99.5 %", "0.951", "0.42 ms", "94.8 %", "4.6 %", "1.23 %", "3.45 %", "1.020 ms"):
        assert number in text
    assert "ridge ✓ chosen" in text
    assert "mlp ✓" not in text
    assert "39 samples; 1 more" in text
    assert "1 of 40 samples are unstable" in text
    assert "39.2 ms" in text  # 4.1 + 30.2 + 4.9
    assert "10.0 % of its sentences are longer" in text  # those of 90 tokens; 40 is the longest measured


@pytest.mark.parametrize(("coverage", "css"), [(0.95, "good"), (0.89, "good"), (0.87, "bad")])
def test_coverage_is_bad_if_chance_does_not_explain_it(tmp_path, coverage, css):
    # 40 samples: two standard deviations are 2 * sqrt(0.95 * 0.05 / 40) = 0.069.
    data = without_samples()
    page = render(tmp_path, replace(data, quality={**data.quality, "bound_coverage": coverage}))
    assert f'<b class="{css}">{100 * coverage:.1f} %</b>' in page


def test_all_text_is_escaped(tmp_path):
    evil = '<script>alert("$x^$")</script>&'
    data = made_up_page()
    page = render(
        tmp_path,
        replace(
            data,
            title=evil,
            facts={evil: evil},
            warnings=(evil,),
            models={evil: {"mape": 0.1, "rmse_ms": 1.0}},
            chosen=evil,
            why=evil,
            stopped=evil,
            parts=({**data.parts[0], "name": evil},),
            lengths=({**data.lengths[0], "name": evil},),
        ),
    )
    assert "script" not in Page(page).tags
    assert page.count("&lt;script&gt;") == 11  # the title and the fact twice, the others once each


@pytest.mark.parametrize(
    "empty",
    [
        {"history": (), "lengths": (), "warnings": ()},
        {"parts": (), "corpus_lengths": {}, "predicted_ms": (NAN,) * SAMPLES},
        {"lengths": ({"name": "full-size", "lengths": [20], "total_ms": [50.0]},)},
        {"quality": NOTHING_KNOWN, "models": {}, "reference_ms": (NAN,) * SAMPLES},
        {"history": ({"samples": 20, "mape": None, "margin": None},), "upper_ms": (NAN,) * SAMPLES},
    ],
    ids="+".join,
)
def test_missing_parts_are_left_out(tmp_path, empty):
    page = render(tmp_path, replace(made_up_page(), **empty))
    check_self_contained(page)
    assert not re.search(r"\b(nan|None|inf)\b", re.sub(r"<style.*?</style>|fill: none", "", page, flags=re.DOTALL))


def test_a_page_without_any_sample(tmp_path):
    page = render(tmp_path, without_samples())
    assert "<svg" not in page
    assert "No sample has an out-of-fold prediction." in page


def test_the_same_data_give_the_same_bytes(tmp_path, page):
    assert render(tmp_path, made_up_page()) == page


def test_accuracy_shows_every_sample_once_and_marks_broken_bounds():
    measured, predicted, upper = (
        np.array([10.0, 20.0, 30.0]),
        np.array([10.5, 19.0, 30.5]),
        np.array([11.0, 19.9, 32.0]),
    )
    drawn = axes()
    device_charts.draw_accuracy(drawn, measured, predicted, upper)
    points = {part.get_label(): part.get_offsets().tolist() for part in drawn.collections if len(part.get_offsets())}
    assert points["sample"] == [[10.0, 10.5], [30.0, 30.5]]
    assert points["above its upper bound (1)"] == [[20.0, 19.0]]


def test_drift_is_relative_to_the_median():
    drawn = axes()
    stable = np.array([True, True, False])
    device_charts.draw_drift(drawn, np.array([1, 2, 4]), np.array([20.0, 19.0, 22.0]), stable)
    steady, unstable = (part.get_offsets() for part in drawn.collections)
    np.testing.assert_allclose(steady, [[1, 0.0], [2, -5.0]])
    np.testing.assert_allclose(unstable, [[4, 10.0]])


def test_bars_add_up_to_the_latency():
    drawn = axes()
    parts = (
        {"name": "small", "phases_ms": {"encode": 1.0, "decode": 3.0}, "output_ms": 2.0},
        {"name": "big", "phases_ms": {"encode": 2.0, "decode": 7.0}, "output_ms": 4.0},
    )
    device_charts.draw_parts(drawn, parts)
    ends = [[bar.get_x(), bar.get_width()] for bar in drawn.patches]
    assert ends == [[0, 1], [0, 2], [1, 3], [2, 7], [4, 2], [9, 4]]


def test_lengths_are_drawn_in_order_and_one_long_sentence_does_not_shrink_them():
    drawn = axes()
    line = {"name": "a", "lengths": [20, 5], "total_ms": [50.0, 14.0]}
    device_charts.draw_lengths(drawn, [line], {10: 999, 500: 1}, "decoder steps")
    assert drawn.get_xlabel() == "decoder steps"
    assert drawn.lines[0].get_xydata().tolist() == [[5, 14], [20, 50]]
    assert drawn.get_xlim() == (0, 21)


def test_boxes_hold_the_errors_of_their_depth():
    drawn = axes()
    errors = np.array([0.01, 0.03, -0.02, 0.05])
    device_charts.draw_error_by_depth(drawn, np.array([1, 1, 6, 1]), errors, "decoder layers")
    assert [label.get_text() for label in drawn.get_xticklabels()] == ["1\n(3)", "6\n(1)"]
    medians = [line.get_ydata()[0] for line in drawn.lines if line.get_color() == device_charts.INK]
    np.testing.assert_allclose(medians, [3.0, -2.0])


def test_neighbouring_errors_that_move_together_are_told(tmp_path):
    data = made_up_page()
    waves = np.array(data.measured_ms) * (1 + 0.05 * np.sin(np.arange(SAMPLES) / 6))
    errors = waves / np.array(data.measured_ms) - 1
    expected = np.corrcoef(errors[:-1], errors[1:])[0, 1]
    assert f"correlate by {expected:.2f}" in render(tmp_path, replace(data, predicted_ms=tuple(waves.tolist())))
