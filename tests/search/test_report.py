"""The report, made from a run directory whose files are written by hand."""

import json
import re
from xml.etree import ElementTree

import numpy as np
import pytest
from html_pages import check_self_contained, svgs, text_of
from report_runs import FULL_MS, NAMES, SLOWER, Predictor, run, take_share, write_latencies, write_other_quantile
from tiny import ENCODER_SPACE
from tiny_language_models import BINS_SPACE, LANGUAGE_SPACE

from hat import files
from hat.architecture.stacks import Architecture, stacks_of
from hat.errors import ArtifactError
from search.report import report_data
from search.report.architecture_drawing import draw_architecture
from search.report.run_report import result_table, write_report

__all__ = ["run"]


def test_report_is_one_self_contained_well_formed_file(run):
    path, _ = write_report(
        run, "cpu", NAMES, ["hat-run configs/x.yaml"], lambda name, lines: [f"{name}:" for _ in lines]
    )
    html = path.read_text(encoding="utf-8")
    check_self_contained(html)
    assert len(svgs(html)) == 5 + 3  # charts, and a drawing a system


def test_report_shows_the_result(run):
    path, data = write_report(
        run, "cpu", NAMES, ["hat-run configs/x.yaml"], lambda name, lines: [f"{name}!" for _ in lines]
    )
    text = text_of(path.read_text(encoding="utf-8"))
    for shown in (
        "HAT, 60%",
        "HAT, 40%",
        "6.00 ms",
        "3.90 ms",
        "80.0",
        "9.00 MB",
        "(2.50)",
        "Some Processor",
        "1.69×",
        "5.90 ms (5.84 to 5.96)",  # measured, and the range of the rounds
        "10.00 ms (9.80 to 10.20)",  # of the full-size Transformer
    ):
        assert shown in text
    assert "It is <three> o'clock." in text
    assert "cpu-40pct!" in text
    assert "✓ met" in text
    assert "✗ missed" not in text
    assert data.picks[0].speedup == pytest.approx(10 / 5.9)


@pytest.mark.parametrize("position", [0, 1, 2])
def test_among_budgets_of_several_quantiles_the_full_size_is_shown_as_for_the_median_sentence(run, position):
    names = write_other_quantile(run, SLOWER)
    names.insert(position, NAMES[0])
    path, data = write_report(run, "cpu", names, [])
    assert data.full.measured.ms == FULL_MS
    assert (data.full.measured.low_ms, data.full.measured.high_ms) == pytest.approx((9.8, 10.2))
    full = run.config.search_space.full_transformer()
    assert data.full.predicted_ms == Predictor().predict([full])[0]
    assert data.quality["mape"] == 0.03
    pick = next(system for system in data.picks if system.name == "cpu-60pct-p90")
    assert (pick.budget_ms, pick.full.ms) == (pytest.approx(9.0), pytest.approx(15.0))
    assert pick.speedup == pytest.approx(15 / 8.9)
    assert "HAT, 60%@p90" in path.read_text(encoding="utf-8")


def test_where_no_budget_is_about_the_median_sentence_the_full_size_is_shown_as_for_theirs(run):
    _, data = write_report(run, "cpu", write_other_quantile(run, SLOWER), [])
    assert data.full.measured.ms == pytest.approx(SLOWER * FULL_MS)
    full = run.config.search_space.full_transformer()
    assert data.full.predicted_ms == SLOWER * Predictor().predict([full])[0]
    assert data.quality["mape"] == 0.07


def test_missed_budget_is_shown_as_missed(run):
    path = run.search(NAMES[0]) / "choice.json"
    files.write_json(path, json.loads(path.read_text()) | {"measured_ms": 6.5})
    report, _ = write_report(run, "cpu", NAMES, [])
    assert "✗ missed" in report.read_text(encoding="utf-8")


def test_what_the_trained_bundles_take_counts_where_it_was_measured(run):
    for name, milliseconds in zip(["full", *NAMES], [20.0, 11.9, 8.1], strict=True):
        write_latencies(run, name, milliseconds, 20.0)
    report, data = write_report(run, "cpu", NAMES, [])
    assert [system.measured.ms for system in data.systems] == [20.0, 11.9, 8.1]
    assert [system.budget_ms for system in data.picks] == pytest.approx([12.0, 8.0])  # 60 and 40 % of what it takes now
    assert data.picks[0].speedup == pytest.approx(20 / 11.9)
    assert [system.meets_budget for system in data.picks] == [True, False]
    assert "11.90 ms (11.78 to 12.14)" in text_of(report.read_text(encoding="utf-8"))


def test_speed_ups_and_shares_are_of_the_rounds_in_which_both_took_turns(run):
    """While the second pick was timed the machine went at half its pace."""
    for name, milliseconds, full_ms in (("full", 20.0, 20.0), (NAMES[0], 11.9, 20.0), (NAMES[1], 15.8, 40.0)):
        write_latencies(run, name, milliseconds, full_ms)
    _, data = write_report(run, "cpu", NAMES, [])
    assert [system.measured.ms for system in data.systems] == [20.0, 11.9, 15.8]
    assert [system.budget_ms for system in data.picks] == pytest.approx([12.0, 16.0])
    assert [system.speedup for system in data.picks] == pytest.approx([20 / 11.9, 40 / 15.8])
    assert all(system.meets_budget for system in data.picks)


def test_a_budget_for_nine_of_ten_is_held_against_their_latency(run):
    names = write_other_quantile(run, 1.5)
    for name, milliseconds in zip(["full", *names], [20.0, 11.9, 8.1], strict=True):
        write_latencies(run, name, milliseconds, 20.0)
    _, data = write_report(run, "cpu", names, [])
    assert [system.measured.ms for system in data.systems] == pytest.approx([30.0, 17.85, 12.15])


def test_text_table_has_a_line_a_system_and_aligned_columns(run):
    _, data = write_report(run, "cpu", NAMES, [])
    lines = result_table(data)
    assert len(lines) == 1 + 3
    assert len({len(line) for line in lines}) == 1
    assert "full-size Transformer" in lines[1]
    assert "1.69x" in lines[2]


def test_a_search_for_int8_is_shown_with_the_int8_bundles(run):
    for name in NAMES:
        path = run.search(name) / "choice.json"
        files.write_json(path, {**json.loads(path.read_text()), "precision": "int8"})
    data = report_data.load_report_data(run, "cpu", NAMES)
    page = write_report(run, "cpu", NAMES, [], lambda name, sentences: sentences)[0].read_text()
    assert "those of the int8 bundle on the test set" in page
    assert "by the int8 bundles" in page
    for line, system in zip(result_table(data)[1:], data.systems, strict=True):
        assert system.bundles["int8"].quality != system.bundles["fp32"].quality
        assert f"{system.bundles['int8'].quality:.1f}" in line.split()
        assert f"{system.label} {system.bundles['fp32'].quality:.1f} BLEU" in page  # beside, in the note


def test_a_latency_that_was_not_measured_is_a_dash_with_the_reason(run):
    for name in ("full", *NAMES):
        path = run.export(name) / "evaluation.int8.json"
        row = json.loads(path.read_text())
        row |= {"latency_ms": None, "latency_p90_ms": None, "no_latency": "int8 bundles are made for processors"}
        files.write_json(path, row)
    path, _ = write_report(run, "cpu", NAMES, [])
    (note,) = re.findall(r"int8 bundles: (.*?)\. Test set", text_of(path.read_text()))
    assert note.count("BLEU in - (int8 bundles are made for processors)") == 3
    assert "None" not in note


def test_where_bundles_are_not_run_what_the_search_timed_is_not_called_theirs(run):
    assert "But here no bundle" not in write_report(run, "cpu", NAMES, [])[0].read_text()
    path = run.export("full") / "evaluation.fp32.json"
    row = json.loads(path.read_text()) | {"latency_ms": None, "latency_p90_ms": None, "no_latency": "own runs PyTorch"}
    files.write_json(path, row)
    assert "But here no bundle was timed (own runs PyTorch)" in write_report(run, "cpu", NAMES, [])[0].read_text()


def test_a_missing_stage_is_named(run):
    (run.export(NAMES[1]) / "evaluation.int8.json").unlink()
    with pytest.raises(ArtifactError, match="evaluation.int8.json is missing; run hat-run"):
        write_report(run, "cpu", NAMES, [])


def test_drawing_shows_every_layer_and_every_attended_layer(run):
    space = run.config.search_space
    for architecture in (space.smallest(), space.largest(), space.sample(np.random.default_rng(3))):
        drawing = ElementTree.fromstring(draw_architecture(architecture, space))
        boxes = [item for item in drawing.iter("rect") if item.get("class") == "ffn"]
        lines = [item for item in drawing.iter("path") if item.get("class") == "attends"]
        assert len(boxes) == architecture.encoder.layers + architecture.decoder.layers
        assert len(lines) == sum(architecture.decoder.cross_attention_span)
        widths = [float(box.get("width")) for box in boxes]
        dims = [*architecture.encoder.ffn_dim, *architecture.decoder.ffn_dim]
        assert np.allclose(np.array(widths) / dims, widths[0] / dims[0], rtol=0.02)


@pytest.mark.parametrize("space", [ENCODER_SPACE, LANGUAGE_SPACE], ids=["encoder", "decoder"])
def test_a_stack_alone_attends_to_itself_only(space):
    architecture = space.largest()
    drawing = ElementTree.fromstring(draw_architecture(architecture, space))
    (stack,) = stacks_of(architecture).values()
    labels = [item.text for item in drawing.iter("text") if item.text and item.text.endswith(" h")]
    layers = zip(stack.ffn_dim, stack.self_attention_heads, strict=True)
    assert labels == [f"{dim} · {heads} h" for dim, heads in layers]
    assert not [item for item in drawing.iter("path") if item.get("class") == "attends"]


@pytest.mark.parametrize("space", [ENCODER_SPACE, LANGUAGE_SPACE], ids=["encoder", "decoder"])
def test_a_stack_alone_stands_in_the_middle(space):
    drawing = ElementTree.fromstring(draw_architecture(space.largest(), space))
    middle = float(drawing.get("viewBox").split()[2]) / 2
    boxes = list(drawing.iter("rect"))
    assert {float(box.get("x")) + float(box.get("width")) / 2 for box in boxes} == {middle}


def test_drawing_shows_how_wide_bins_of_words_are():
    """The label's bars have its widths, one below the other, and it lies below them, within the picture."""
    labels = {"embedding 16": (LANGUAGE_SPACE, [16]), "embedding 16 / 3 / 1 (bins of words)": (BINS_SPACE, [16, 3, 1])}
    for label, (space, widths) in labels.items():
        drawing = ElementTree.fromstring(draw_architecture(space.smallest(), space))
        bars = [item for item in drawing.iter("rect") if item.get("class") == "embedding"]
        drawn = np.array([float(bar.get("width")) for bar in bars])
        assert np.allclose(drawn / drawn[0], np.array(widths) / widths[0], rtol=0.02)
        edges = [float(bar.get(side)) for bar in bars for side in ("y", "height")]
        tops, ends = np.array(edges[::2]), np.array(edges[::2]) + edges[1::2]
        assert all(tops[1:] > ends[:-1])
        (below,) = (float(item.get("y")) for item in drawing.iter("text") if item.text == label)
        assert ends[-1] + 10 < below < float(drawing.get("viewBox").split()[3])


@pytest.mark.parametrize(("busy", "verdicts"), [([], 2), (NAMES[:1], 1), (["full"], 2), (["full", *NAMES], 0)])
def test_on_a_busy_machine_a_budget_is_called_neither_met_nor_missed(run, busy, verdicts):
    """What counts is how busy it was while a pick and the full-size Transformer took turns."""
    for name, milliseconds in zip(["full", *NAMES], [20.0, 11.9, 8.1], strict=True):
        write_latencies(run, name, milliseconds, 20.0)
        take_share(run, name, 0.23 if name in busy else 0.01)
    path, data = write_report(run, "cpu", NAMES, [])
    text = text_of(path.read_text())
    shown = 2  # a card and a row of the table
    assert text.count("✓ met") + text.count("✗ missed") == shown * verdicts
    assert text.count("? machine busy") == text.count("×?") == shown * (2 - verdicts)
    assert sum("x?" in line for line in result_table(data)) == 2 - verdicts
    assert "(11.78 to 12.14; 23 %)" in text if NAMES[0] in busy else "(11.78 to 12.14; 1 %)" in text
    doubts = [line for line in result_table(data) if "23% of the time" in line]
    assert [line.split(":")[0] for line in doubts] == [system.label for system in data.systems if system.name in busy]
    assert all(line in text for line in doubts)


def test_a_busy_machine_is_told_also_where_only_the_search_timed(run):
    path = run.search(NAMES[1]) / "choice.json"
    files.write_json(path, json.loads(path.read_text()) | {"taken": 0.4})
    text = text_of(write_report(run, "cpu", NAMES, [])[0].read_text())
    assert "HAT, 40%: other work had the processor 40% of the time" in text
    assert text.count("? machine busy") == 2


def test_text_is_escaped_and_dots_tell_what_they_are(run):
    evil = "<script>alert('$x^$')</script>"
    for name in NAMES:
        path = run.export(name) / "evaluation.int8.json"
        files.write_json(path, json.loads(path.read_text()) | {"no_latency": evil})
    path, _ = write_report(run, "cpu", NAMES, [evil], lambda _name, lines: [evil for _ in lines])
    html = path.read_text()
    page = check_self_contained(html)  # which allows no script
    assert page.text.count(evil) == 2 + 1 + 2 * 3  # reasons, the command, translations
    choice = json.loads((run.search(NAMES[0]) / "choice.json").read_text())
    architecture = Architecture.from_dict(choice["architecture"])
    assert re.search(rf"<title>[0-9.]+ ms, [0-9.]+ nats: {architecture.summary()}</title>", html)


def test_confusions_are_shown_where_there_are_some(run):
    assert "What is taken for what" not in write_report(run, "cpu", NAMES, [])[0].read_text()
    for name in ("full", *NAMES):
        path = run.export(name) / "evaluation.fp32.json"
        confusion = {"good": {"good": 30, "bad": 9, "odd": 1}, "bad": {"bad": 50}}
        files.write_json(path, files.read_json(path, "") | {"confusion": confusion})
    table = re.search(
        r'<table class="confusion">.*?</table>', write_report(run, "cpu", NAMES, [])[0].read_text(), re.DOTALL
    )[0]
    rows = [re.findall(r"<t[hd][^>]*>([^<]*)", row) for row in table.split("<tr>")[1:]]
    assert [[cell.strip() for cell in row] for row in rows] == [
        ["", "bad", "good", "odd"],
        ["bad", "50", "0", "0"],
        ["good", "9", "30", "1"],
    ]
    assert "30 <small>(75 %)</small>" in table


def test_the_same_run_gives_the_same_bytes(run):
    first = write_report(run, "cpu", NAMES, [])[0].read_bytes()
    assert write_report(run, "cpu", NAMES, [])[0].read_bytes() == first
