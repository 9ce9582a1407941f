"""hat-compress on tiny runs: killed and resumed, then exported and used like any other network."""

import json
import shutil
import signal

import onnx
import pytest
import tiny_classifier
import tiny_run
from compressing import assert_latency_is_met_and_the_rate_found_once, call, refused
from deaths import assert_same_result, run_and_die

from hat import Classifier, files
from hat.architecture.complexity import count_parameters
from hat.cli import evaluate, export, train_sub
from hat.compression.dense import Dense
from hat.compression.stage import compress, learn_rounded
from hat.config import to_mapping
from hat.deploy.building.block_costs import BlockCosts, DeviceCosts, StackCosts
from hat.deploy.bundle import open_bundle
from hat.training import recipe, sub

pytestmark = pytest.mark.alone

TEXTS = ["the film is good and the book is awful", "the song is dull and the play is lovely"]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A classifier's run with the full-size network trained and compressed."""
    folder = tmp_path_factory.mktemp("compression")
    made = tiny_classifier.trained_run(folder, sub_training={"max_update": 120})
    call(made, "full", "--rate", "2")
    return made


def rate_of(run, name):
    """By which a network was pruned: about what was asked for, as tiny ones lose large parts at a time."""
    return json.loads((run.sub(name) / "pruned.json").read_text())["rate"]


def test_half_of_the_weights_still_know_the_task_and_are_all_that_the_bundle_holds(run):
    export.main(["full", "--run", str(run.path)])
    export.main(["full-2x", "--run", str(run.path)])
    for precision in ("fp32", "int8"):
        found = Classifier(run.export("full-2x") / precision).classify(TEXTS)
        assert [label for label, _ in found] == ["good", "bad"]
    sizes = [open_bundle(run.export(name) / "fp32").size_bytes for name in ("full", "full-2x")]
    report = json.loads((run.sub("full-2x") / "pruned.json").read_text())
    counted = [place["parameters_each"] * place[which] for which in ("groups", "kept") for place in report["places"]]
    designed, left = sum(counted[: len(counted) // 2]), sum(counted[len(counted) // 2 :])
    assert 0.45 * designed < left <= 0.5 * designed
    assert report["rate"] == pytest.approx(designed / left)
    assert sizes[0] - sizes[1] == pytest.approx(4 * (designed - left), rel=0.1)


def test_it_is_judged_like_any_other_and_its_page_shows_what_was_judged(run, capsys):
    evaluate.main(["full-2x", "--no-latency", "--json", "--run", str(run.path)])
    judged = json.loads(capsys.readouterr().out)
    assert judged["accuracy"] > 80
    removed = json.loads((run.sub("full-2x") / "pruned.json").read_text())["removed_parameters"]
    counted, _ = count_parameters(run.config.search_space.full_transformer(), run.spec())
    bundle = run.export("full-2x") / "fp32"
    evaluate.main([str(bundle), "--json", "--run", str(run.path)])
    row = json.loads(capsys.readouterr().out)
    assert judged["parameters"] == row["parameters"] == counted - removed
    accuracy = row["accuracy"]
    call(run, "full", "--rate", "2")
    page = (run.path / "compression.html").read_text()
    assert f"{rate_of(run, 'full-2x'):.2f} of full" in page
    assert f"<td>{accuracy:.1f}</td>" in page
    assert f"<td>{open_bundle(bundle).size_bytes / 1e6:.2f} MB</td>" in page
    assert page.count("<svg") == 1


@pytest.mark.parametrize("precision", ["int4", "kmeans4"])
def test_a_network_trained_for_four_bits_loses_nothing_by_them(run, capsys, precision):
    name = f"full-2x-{precision}"
    call(run, "full-2x", "--weights", precision)
    export.main([name, "--precision", "fp32", precision, "--allow-drop", "0", "--run", str(run.path)])
    bundles = [Classifier(run.export(name) / kind) for kind in ("fp32", precision)]
    (exact, small) = ([score for _, score in bundle.classify(TEXTS)] for bundle in bundles)
    assert exact == pytest.approx(small, abs=1e-5)
    assert [label for label, _ in bundles[1].classify(TEXTS)] == ["good", "bad"]
    before, after = (json.loads((run.sub(which) / "pruned.json").read_text()) for which in ("full-2x", name))
    assert [place["kept"] for place in after["places"]] == [place["kept"] for place in before["places"]]
    assert open_bundle(run.export(name) / precision).description["built_from"]["pruned"]["weights"] == precision
    assert f"1.00 of full-2x, {precision}" in (run.path / "compression.html").read_text()
    capsys.readouterr()
    call(run, "full-2x", "--weights", precision)
    assert f"{name} is up to date" in capsys.readouterr().out


def test_a_second_compression_multiplies_and_the_first_is_up_to_date(run, capsys):
    call(run, "full-2x", "--rate", "1.5", "--name", "third")
    assert f"full-2x was pruned before, by {rate_of(run, 'full-2x'):.3g}: rates multiply" in capsys.readouterr().out
    first, third = (json.loads((run.sub(name) / "pruned.json").read_text()) for name in ("full-2x", "third"))
    for before, after in zip(first["places"], third["places"], strict=True):
        assert after["kept"] <= before["kept"]
    call(run, "full", "--rate", "2")
    assert "full-2x is up to date" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["full", "--rate", "1"], 2, "--rate 1: nothing would be removed; give more than 1"),
        (["full", "--rate", "1000"], 2, "--rate 1000 leaves a layer empty; the highest rate here is about"),
        (["full", "--rate", "inf"], 2, "--rate inf leaves a layer empty; the highest rate here is about"),
        (["full", "--rate", "nan"], 2, "--rate nan: nothing would be removed"),
        (["full", "--bits", "9"], 2, "--bits 9: is for language models; use --weights int4 or kmeans4"),
        (["small", "--rate", "2"], 4, "holds no trained network 'small'; there are: full, full-2x"),
        (["full", "--rate", "2", "--device", "cpu"], 2, "--device: says nothing without --latency where compression"),
        (["full", "--rate", "2", "--precision", "int8"], 2, "--precision: says nothing without --latency where"),
        (["full", "--weights", "int4", "--device", "cpu"], 2, "--device: says nothing beside --weights"),
        (["full", "--rate", "2", "--name", "full"], 2, "--name full: is the network to be compressed"),
    ],
)
def test_what_can_not_be_done_is_told_in_a_line(run, capsys, arguments, status, message):
    before = sorted(path.name for path in (run.path / "sub").iterdir())
    code, line = refused(capsys, run, *arguments)
    assert message in line
    assert code == status
    assert sorted(path.name for path in (run.path / "sub").iterdir()) == before


def test_a_network_that_was_not_compressed_is_not_replaced(run, capsys):
    arguments = [
        "--architecture",
        "full",
        "--name",
        "other",
        "--run",
        str(run.path),
        "--device",
        "cpu",
        "--threads",
        "1",
    ]
    train_sub.main(arguments)
    before = (run.sub("other") / "model.safetensors").read_bytes()
    for target in (("--rate", "2"), ("--latency", "400%")):
        code, line = refused(capsys, run, "full", *target, "--name", "other")
        assert "--name other: " in line
        assert "was trained without pruning; give the result another name" in line
        assert code == 2
    assert (run.sub("other") / "model.safetensors").read_bytes() == before
    assert not (run.sub("other") / "plan.json").exists()


def test_what_was_removed_is_written_before_the_stage_counts_as_finished(run, monkeypatch):
    """Else a kill between the two would leave it unsaid for ever."""
    seen = []
    real = recipe.mark_done
    monkeypatch.setattr(
        recipe, "mark_done", lambda folder, *rest: (seen.append((folder / "pruned.json").exists()), real(folder, *rest))
    )
    call(run, "full", "--rate", "2", "--name", "in-order")
    assert seen == [True]


def translation_run(folder):
    folder.mkdir()
    settings = {**tiny_run.CONFIG["sub_training"], "method": "reweighted", "renewals": 2, "average_checkpoints": 2}
    return tiny_run.make_run(folder, compression=settings)


def prune(run):
    dense = Dense(run, "full")
    compress(dense, dense.at_rate(1.5), "full-1.5x")


def learn_four_bits(run):
    learn_rounded(Dense(run, "full"), "int4", "full-int4")


@pytest.mark.parametrize(("work", "name"), [(prune, "full-1.5x"), (learn_four_bits, "full-int4")])
def test_killed_and_run_again_a_compressed_translator_is_the_same_to_the_bit(tmp_path, work, name):
    straight, killed = (translation_run(tmp_path / name) for name in ("straight", "killed"))
    for run in (straight, killed):
        full = run.config.search_space.full_transformer()
        assert run_and_die(lambda run=run, full=full: sub.train_sub(run, "full", full)) == 0
    assert run_and_die(lambda: work(straight)) == 0
    for death in ({"replacements": 5}, {"backward_passes": 4}, {"replacements": 7}, {"backward_passes": 3}):
        assert run_and_die(lambda: work(killed), **death) == -signal.SIGKILL
        assert not (killed.sub(name) / "done.json").exists()
    assert run_and_die(lambda: work(killed)) == 0
    assert_same_result(straight.sub(name), killed.sub(name))
    export.main([name, "--precision", "fp32", "--run", str(straight.path)])  # checks that it does as PyTorch


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_a_size_is_kept_by_the_bundle_that_is_exported(run, precision):
    export.main(["full", "--precision", precision, "--run", str(run.path)])
    most = open_bundle(run.export("full") / precision).size_bytes - 4000
    call(run, "full", "--size", str(most), "--precision", precision, "--name", f"small-{precision}")
    export.main([f"small-{precision}", "--precision", precision, "--run", str(run.path)])
    assert open_bundle(run.export(f"small-{precision}") / precision).size_bytes <= most


def test_sizes_and_latencies_that_pruning_can_not_reach(run, capsys):
    code, line = refused(capsys, run, "full", "--size", "1kB")
    assert "1kB is below what pruning can reach: full at rate" in line
    assert code == 6
    code, line = refused(capsys, run, "full", "--latency", "1us")
    assert "is below what pruning can reach" in line
    assert code == 6


def test_a_latency_is_met_and_the_rate_is_found_once(run, capsys):
    assert_latency_is_met_and_the_rate_found_once(run, capsys)


@pytest.fixture(scope="module")
def columns(tmp_path_factory, run):
    """The same network in a run that removes columns within blocks."""
    folder = tmp_path_factory.mktemp("columns")
    settings = {**tiny_classifier.TRAINING, "max_update": 4, "warmup_updates": 1, "structure": "columns"}
    made = tiny_classifier.make_run(folder, compression={**settings, "method": "one_shot"})
    shutil.copytree(run.data, made.data)
    shutil.copytree(run.sub("full"), made.sub("full"))
    return made


def measured(run, **costs):
    """Say of the device cpu that blocks cost so much there."""
    found = StackCosts(BlockCosts(**costs), BlockCosts(**costs))
    content = {
        "costs": to_mapping(DeviceCosts("cpu", found, found)),
        "measured_on": {"threads": 1, "accelerator": "cpu"},
    }
    files.write_json(run.latency / "cpu.blocks.json", content)


def blocks_of(run, name):
    """(heights of the blocks that were pruned, number of products by blocks in the fp32 bundle)"""
    report = json.loads((run.sub(name) / "pruned.json").read_text())
    rows = [place["place"].partition("[")[2].rstrip("]").split(":") for place in report["places"]]
    export.main([name, "--precision", "fp32", "--run", str(run.path)])
    graph = onnx.load(run.export(name) / "fp32" / "classifier.onnx", load_external_data=False)
    stored = {tensor.name for tensor in graph.graph.initializer}
    return {int(end) - int(start) for start, end in rows}, sum(name.endswith(".1.weight") for name in stored)


def test_blocks_follow_what_was_measured_on_the_device(columns, capsys):
    call(columns, "full", "--rate", "3", "--name", "unmeasured", "--precision", "fp32")
    told = capsys.readouterr().out
    assert "blocks were never measured on cpu" in told
    assert "take about 100% of the whole ones' time on an x86 server" in told  # so small are these matrices
    heights, none = blocks_of(columns, "unmeasured")
    assert (heights, none) == ({8}, 0)
    measured(columns, weight=1.0, column=0.0)
    call(columns, "full", "--rate", "3", "--name", "low", "--device", "cpu")
    assert "blocks of 8 rows: with 33% of the columns left" in capsys.readouterr().out
    heights, by_blocks = blocks_of(columns, "low")
    assert heights == {8}
    assert by_blocks > none
    measured(columns, weight=1.0, column=20.0)
    call(columns, "full", "--rate", "3", "--name", "high")
    assert blocks_of(columns, "high")[0] == {16}


def test_what_was_compressed_for_a_device_stays_so_when_its_bits_are_rounded(columns):
    measured(columns, weight=1.0, column=0.0)
    call(columns, "full", "--rate", "3", "--name", "low")
    measured(columns, weight=9.0)
    call(columns, "low", "--weights", "int4")
    export.main(["low-int4", "--precision", "int4", "--allow-drop", "0", "--run", str(columns.path)])
    costs = [json.loads((columns.sub(name) / "pruned.json").read_text())["block_costs"] for name in ("low", "low-int4")]
    assert costs[0] == costs[1]
