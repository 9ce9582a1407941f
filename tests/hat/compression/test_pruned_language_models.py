"""Language models that lose whole heads and FFN neurons: through hat-compress, exported, judged; what is refused."""

import json
import signal

import pytest
import torch
from compressing import assert_latency_is_met_and_the_rate_found_once, call, refused
from deaths import assert_same_result, run_and_die
from tiny_language_run import TRAINING, trained_run

import hat
from hat.accounting.micronet import micronet_account
from hat.accounting.trained import trained_network
from hat.architecture.complexity import count_parameters
from hat.cli import cache, evaluate, export, inspect
from hat.compression.page import write_page
from hat.deploy.bundle import open_bundle
from hat.elastic.cache import NeuralCache
from hat.evaluation.language_modeling import cached
from hat.models.checkpoint import load_model

pytestmark = pytest.mark.alone

WHOLE = {
    **TRAINING,
    "max_update": 40,
    "structure": "whole",
    "method": "reweighted",
    "renewals": 2,
    "average_checkpoints": 2,
    "distillation": 0.0,
}
LINE = "anna bought milk yes anna bought milk"


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A language model's run with the full-size network trained, and half of its heads and neurons pruned."""
    made = trained_run(tmp_path_factory.mktemp("whole"), compression=WHOLE)
    call(made, "full", "--rate", "2")
    return made


def report(run, name):
    return json.loads((run.sub(name) / "pruned.json").read_text())


def test_half_of_heads_and_neurons_is_left_and_all_else_stays(run):
    weights, places = load_model(run.sub("full-2x")).state_dict(), report(run, "full-2x")["places"]
    assert [place["kind"] for place in places] == 2 * ["heads", "neurons"]
    for layer, (heads, neurons) in enumerate(zip(places[::2], places[1::2], strict=True)):
        prefix = f"decoder.layers.{layer}"
        out, fc2 = weights[f"{prefix}.self_attn.out_weight"], weights[f"{prefix}.fc2.weight"]
        assert heads["kept"] == int(out.any(2).any(0).sum())
        assert neurons["kept"] == int(fc2.any(0).sum())
        for name, kept in (("qkv_weight", out.any(2).any(0)), ("qkv_bias", out.any(2).any(0))):
            assert torch.equal(weights[f"{prefix}.self_attn.{name}"].flatten(1).any(1), kept)
        assert torch.equal(weights[f"{prefix}.fc1.weight"].any(1), fc2.any(0))
        assert weights[f"{prefix}.self_attn.positions"].all()
    designed, left = (sum(place["parameters_each"] * place[key] for place in places) for key in ("groups", "kept"))
    assert 0.37 * designed < left <= 0.5 * designed


def test_bundles_hold_only_what_is_left_and_need_no_hat(run):
    for name in ("full", "full-2x"):
        export.main([name, "--allow-drop", "50", "--standalone", "--run", str(run.path)])
    sizes = [(run.export(name) / "fp32" / "weights.bin").stat().st_size for name in ("full", "full-2x")]
    assert sizes[0] - sizes[1] == pytest.approx(4 * report(run, "full-2x")["removed_parameters"], rel=0.15)
    assert (run.export("full-2x") / "int8" / "language_model.py").exists()
    scores = [hat.LanguageModel(run.export("full-2x") / kind).score([LINE])[0] for kind in ("fp32", "int8")]
    assert scores[0].perplexity == pytest.approx(scores[1].perplexity, rel=0.1)


def test_it_is_judged_by_the_parameters_that_are_left_and_shown(run, capsys):
    counted, _ = count_parameters(run.config.search_space.full_transformer(), run.spec())
    removed = report(run, "full-2x")["removed_parameters"]
    evaluate.main(["full-2x", "--no-latency", "--json", "--run", str(run.path)])
    assert json.loads(capsys.readouterr().out)["parameters"] == counted - removed
    page = " ".join((run.path / "compression.html").read_text().split())
    assert f"{report(run, 'full-2x')['rate']:.2f} of full" in page
    assert "Bundles hold only the heads, FFN neurons and columns that are left" in page
    assert "Single weights" not in page


def test_its_account_is_that_of_a_smaller_network(run, capsys):
    inspect.main(["full-2x", "--accounting", "micronet", "--against", "full", "--json", "--run", str(run.path)])
    found = json.loads(capsys.readouterr().out)
    inspect.main(["full", "--accounting", "micronet", "--json", "--run", str(run.path)])
    full = json.loads(capsys.readouterr().out)
    removed = report(run, "full-2x")["removed_parameters"]
    assert found["parameters"]["mask"] == 0
    assert full["total"]["parameters"] - found["total"]["parameters"] == removed
    assert found["parameters"]["counted"] == full["parameters"]["counted"] - removed
    assert found["against"]["operations"] < 1


def test_with_a_cache_it_is_as_small(run, capsys, monkeypatch):
    """It has two parameters more; bundles and the page of all compressed networks say that it was pruned, too."""
    monkeypatch.setattr(cached, "search_cache", lambda *_: (NeuralCache(9), 1.0, 2.0))
    name, removed = "full-2x-cache", report(run, "full-2x")["removed_parameters"]
    cache.main(["full", "--name", name, "--run", str(run.path)])
    assert not (run.sub(name) / "pruned.json").exists()
    cache.main(["full-2x", "--run", str(run.path)])
    assert report(run, name) == report(run, "full-2x")
    capsys.readouterr()
    evaluate.main([name, "--no-latency", "--json", "--run", str(run.path)])
    counted, _ = count_parameters(run.config.search_space.full_transformer(), run.spec())
    assert json.loads(capsys.readouterr().out)["parameters"] == counted - removed + 2
    totals = [micronet_account(trained_network(run, each))["total"] for each in ("full-2x", name)]
    assert [totals[1][key] - totals[0][key] for key in ("parameters", "nonzero")] == [2, 2]
    export.main([name, "--precision", "fp32", "--run", str(run.path)])
    built_from = open_bundle(run.export(name) / "fp32").description["built_from"]
    assert built_from["pruned"]["removed_parameters"] == removed
    assert f"<td>{name}</td>" in write_page(run).read_text()
    _, line = refused(capsys, run, "full", "--rate", "2", "--name", name)
    assert f"{run.sub(name)} is a result of hat-cache; give this one another name" in line


@pytest.mark.parametrize("precision", ["int4", "kmeans4"])
def test_trained_for_four_bits_it_loses_nothing_by_them(run, precision):
    name = f"full-2x-{precision}"
    call(run, "full-2x", "--weights", precision)
    export.main([name, "--precision", "fp32", precision, "--allow-drop", "0.01", "--run", str(run.path)])
    exact, small = (hat.LanguageModel(run.export(name) / kind).score([LINE])[0] for kind in ("fp32", precision))
    assert exact.log_probability == pytest.approx(small.log_probability, abs=1e-4)
    assert [place["kept"] for place in report(run, name)["places"]] == [
        place["kept"] for place in report(run, "full-2x")["places"]
    ]


def test_nine_bits_come_after_it(run, capsys):
    call(run, "full-2x", "--bits", "9")
    assert load_model(run.sub("full-2x-9bit")).spec.bits == 9
    assert report(run, "full-2x-9bit")["removed_parameters"] == report(run, "full-2x")["removed_parameters"]
    for arguments in (("--rate", "1.5"), ("--weights", "int4")):
        _, line = refused(capsys, run, "full-2x-9bit", *arguments)
        assert "would undo the 9 bits of full-2x-9bit" in line


def test_a_second_compression_multiplies(run, capsys):
    call(run, "full-2x", "--rate", "1.2", "--name", "third")
    assert "full-2x was pruned before, by 2" in capsys.readouterr().out
    kept = [[place["kept"] for place in report(run, name)["places"]] for name in ("full-2x", "third")]
    assert all(after <= before for before, after in zip(*kept, strict=True))
    assert sum(kept[1]) < sum(kept[0])


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_a_size_is_kept_by_the_bundle_that_is_exported(run, precision):
    export.main(["full", "--precision", precision, "--allow-drop", "50", "--run", str(run.path)])
    most = open_bundle(run.export("full") / precision).size_bytes - (6000 if precision == "fp32" else 1000)
    name = f"small-{precision}"
    call(run, "full", "--size", str(most), "--precision", precision, "--name", name)
    export.main([name, "--precision", precision, "--allow-drop", "50", "--run", str(run.path)])
    assert open_bundle(run.export(name) / precision).size_bytes <= most
    assert report(run, name)["removed_parameters"] > 0


def test_a_latency_is_met_and_the_rate_is_found_once(run, capsys):
    assert_latency_is_met_and_the_rate_found_once(run, capsys)
    status, line = refused(capsys, run, "full", "--latency", "1us")
    assert status == 6
    assert "is below what pruning can reach" in line


@pytest.mark.slow
def test_killed_and_run_again_it_is_the_same_to_the_bit(run):
    again = ["full", "--rate", "2", "--name", "again"]
    for death in ({"backward_passes": 7}, {"backward_passes": 13}, {"replacements": 9}):
        assert run_and_die(lambda: call(run, *again), **death) == -signal.SIGKILL
        assert not (run.sub("again") / "done.json").exists()
    assert run_and_die(lambda: call(run, *again)) == 0
    assert_same_result(run.sub("full-2x"), run.sub("again"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--rate", "1"], "--rate 1: nothing would be removed; give more than 1"),
        (["--rate", "1000"], "--rate 1000 leaves a layer empty; the highest rate here is about"),
        (["--rate", "2", "--device", "cpu"], "compression.structure is 'whole'; leave it out\n"),
        (["--bits", "1"], "--bits 1: is not between 2 and 16; use 9 or so"),
    ],
)
def test_what_can_not_be_done_is_told_in_a_line(run, capsys, arguments, message):
    status, line = refused(capsys, run, "full", *arguments)
    assert status == 2
    assert message in f"{line}\n"
