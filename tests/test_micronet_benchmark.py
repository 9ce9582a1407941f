"""The benchmark of MicroNet's steps: which of them stay by made-up figures, and a tiny chain from end to end."""

import json
import sys
from pathlib import Path

import pytest
from tiny_language_run import CONFIG, make_run

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "benchmarks"))  # its modules import each other by name

import micronet_steps as benchmark
from micronet_networks import STEPS
from side_by_side import CommandFailedError, run_side_by_side, seconds_of

from hat import files
from hat.evaluation.evaluate import evaluate
from hat.experiment.run_directory import RunDirectory
from hat.models.checkpoint import load_model

SMALL = {"embed_dim": 16, "ffn_dim": [20], "self_attention_heads": [2], "head_dim": [4], "context": [8]}
PLAIN = {"embed_dim": 24, "ffn_dim": [32, 32], "self_attention_heads": [2, 2], "head_dim": [8, 8], "context": [12, 12]}
# Validation perplexities of a chain in which the trained cache and the distillation do harm.
EFFECTS = {"adaptive": 10, "cache": 3, "hebbian": -2, "cache search": -9, "distilled": 0, "pruned": 4, "quantised": 1}


def made_up(steps):
    perplexity = 100 + sum(EFFECTS[step] for step in steps)
    return {
        "network": "+".join(steps),
        "valid_perplexity": perplexity,
        "test_perplexity": perplexity - 5,
        "parameters": 1000,
        "counted_parameters": 1000 / (1 + len(steps)),
        "operations": 2000 / (1 + len(steps)),
        "score": 2 / (1 + len(steps)),
        "seconds": {**dict.fromkeys(steps, 60.0), "plain": 120.0},
    }


def test_a_step_that_does_not_help_is_left_out_of_the_rows_after_it_unless_it_saves():
    rows = list(benchmark.rows_of(made_up))
    assert [row["step"] for row in rows] == ["plain", *STEPS]
    assert [row["step"] for row in rows if row["left_out"]] == ["cache", "distilled"]
    networks = {row["step"]: row["network"] for row in rows}
    assert networks["cache"] == "adaptive+cache"
    assert networks["hebbian"] == "adaptive+hebbian"
    assert networks["distilled"] == "adaptive+hebbian+cache search+distilled"
    assert networks["quantised"] == "adaptive+hebbian+cache search+pruned+quantised"
    found = {row["step"]: (row["perplexity_change"], row["score_change"], row["minutes"]) for row in rows}
    assert found["plain"] == (0, 0, 2)
    assert found["cache"] == pytest.approx((113 / 110 - 1, 2 / 3 - 1, 1))
    assert found["hebbian"] == pytest.approx((108 / 110 - 1, 2 / 3 - 1, 1))
    assert found["pruned"] == pytest.approx((103 / 99 - 1, 4 / 5 - 1, 1))


def test_what_is_reached_is_that_of_the_last_row_that_stays():
    rows = list(benchmark.rows_of(made_up))
    expected = {"step": "quantised", "counted_parameters_fewer": 6, "operations_fewer": 6}
    expected |= {"valid_perplexity_ratio": 1.04, "test_perplexity_ratio": 99 / 95}
    assert benchmark.last_of(rows) == pytest.approx(expected)
    assert benchmark.last_of(rows[:3])["step"] == "adaptive"
    lines = list(benchmark.table({"rows": rows, "last": benchmark.last_of(rows), "core_minutes": 7}))
    assert [line.split("|")[1].strip() for line in lines[2:10]] == ["plain", *(f"+ {step}" for step in STEPS)]
    assert [line.endswith("| left out |") for line in lines[2:10]] == [row["left_out"] for row in rows]
    assert "6.0 times fewer parameters and 6.0 times fewer operations than plain at 1.040 (valid)" in lines[-1]


def test_two_commands_run_at_once_and_one_that_fails_stops_the_other(tmp_path, capsys):
    meet = "touch {0}/{1}; until [ -e {0}/{2} ]; do sleep 0.05; done"
    run_side_by_side(tmp_path, {a: ["sh", "-c", meet.format(tmp_path, a, b)] for a, b in ("xy", "yx")})
    with pytest.raises(CommandFailedError, match=r"^sh ended with status 3: last \(see .*bad.log\)$") as raised:
        run_side_by_side(tmp_path, {"long": ["sleep", "600"], "bad": ["sh", "-c", "echo first; echo last; exit 3"]})
    assert raised.value.exit_status == 3
    assert set(seconds_of(tmp_path)) == {"x", "y", "long", "bad"}
    assert seconds_of(tmp_path)["long"] < 60


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    """(folder, what the benchmark wrote)"""
    folder = tmp_path_factory.mktemp("micronet")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        make_run(folder, sub_training={"distillation": {"top_k": 5}})
        for name, decoder in (("small", SMALL), ("large", PLAIN)):
            files.write_yaml(folder / f"{name}.yaml", {"decoder": decoder})
        yield folder, measure(folder)


def measure(folder, *more):
    places = {"config": "tiny", "plain": "large", "architecture": "small"}
    words = [word for option, name in places.items() for word in (f"--{option}", str(folder / f"{name}.yaml"))]
    words += ["--run", str(folder / "steps"), "--json", str(folder / "found.json")]
    benchmark.main([*words, "--updates", "20", "--states", "12", *more])
    return json.loads((folder / "found.json").read_text())


@pytest.mark.slow
def test_every_row_is_of_a_network_with_its_steps_and_those_that_stay(measured):
    folder, found = measured
    rows = {row["step"]: row for row in found["rows"]}
    assert list(rows) == ["plain", *STEPS]
    chain = []
    for step, row in rows.items():
        training, _, name = row["network"].split("/")
        run = RunDirectory(folder / "steps" / training)
        for split in ("valid", "test"):
            again = evaluate(run, name, None, split, latency=False, again=True)
            assert row[f"{split}_perplexity"] == again["perplexity"]
        spec, steps = load_model(run.sub(name)).spec, [*chain, step]
        assert (spec.cutoffs != ()) == ("adaptive" in steps)
        assert (spec.cache > 0) == bool({"cache", "cache search"} & set(steps)) or row["left_out"]
        assert (spec.bits == 9) == ("quantised" in steps)
        assert (run.config.sub_training.hebbian is not None) == ("hebbian" in steps)
        assert (run.config.sub_training.distillation is not None) == ("distilled" in steps)
        chain = chain if row["left_out"] else steps


@pytest.mark.slow
def test_costs_are_those_of_the_account_and_fall_where_a_step_saves(measured):
    _, found = measured
    rows = {row["step"]: row for row in found["rows"]}
    plain, stay = rows["plain"], [row for row in found["rows"] if not row["left_out"]]
    assert plain["score"] == 2
    for row in rows.values():
        shares = [row[name] / plain[name] for name in ("counted_parameters", "operations")]
        assert row["score"] == pytest.approx(sum(shares))
        assert row["minutes"] > 0
    counts = [row["counted_parameters"] for row in stay[-3:]]
    assert counts == sorted(counts, reverse=True)
    assert rows["pruned"]["parameters"] == stay[-3]["parameters"]  # zeros among them
    assert found["last"]["step"] == "quantised"
    assert found["core_minutes"] > sum(row["minutes"] for row in rows.values())


@pytest.mark.slow
def test_run_again_nothing_is_made_again_and_a_command_that_fails_says_why(measured, capsys):
    folder, before = measured
    weights = {path: path.stat().st_mtime_ns for path in (folder / "steps").rglob("model.safetensors")}
    with pytest.raises(SystemExit, match="2"):
        measure(folder, "--rate", "1")
    told = capsys.readouterr()
    assert "hat-compress ended with status 2" in told.err
    assert "--rate 1: nothing would be removed" in told.err
    assert "hat-train-sub" not in told.out
    assert all(path.stat().st_mtime_ns == time for path, time in weights.items())


@pytest.mark.slow
def test_another_configuration_wants_another_folder(measured, capsys):
    folder, _ = measured
    with pytest.raises(SystemExit, match="2"):
        measure(folder, "--updates", "30")
    assert "plain.yaml in it is of other options; name another folder" in capsys.readouterr().err


def test_a_config_without_bins_is_refused(tmp_path, capsys):
    decoder = {name: choices for name, choices in CONFIG["search_space"]["decoder"].items() if name != "bin_dims"}
    make_run(tmp_path, model={"cutoffs": [], "bin_dims": []}, search_space={"decoder": decoder})
    with pytest.raises(SystemExit, match="2"):
        benchmark.main(["--config", str(tmp_path / "tiny.yaml"), "--run", str(tmp_path / "steps")])
    assert "has no model.cutoffs" in capsys.readouterr().err
