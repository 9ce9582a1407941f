"""hat-search: its errors are one line with their own exit status."""

import pytest
import yaml
from latency_runs import make_run, write_samples
from search_toys import CONFIG

from hat.cli.search import main
from hat.experiment.run_directory import RunDirectory


def failure(capsys, *arguments):
    """(exit status, the one line on stderr)."""
    with pytest.raises(SystemExit) as end:
        main(list(arguments))
    message = capsys.readouterr().err
    assert message.count("\n") == 1
    return end.value.code, message


@pytest.mark.parametrize("budget", ["200", "-1ms", "0ms", "quick", "200ms@p0", "200ms@p100", "200ms@max"])
def test_a_wrong_budget(run, capsys, budget):
    status, message = failure(capsys, f"--latency={budget}")
    assert status == 2
    assert repr(budget) in message
    assert "200ms" in message


def test_no_budget(run, capsys):
    status, message = failure(capsys)
    assert status == 2
    assert "--latency 200ms" in message


def test_one_name_for_two_budgets(run, capsys):
    status, message = failure(capsys, "--latency=9ms", "--latency=8ms", "--name=phone")
    assert status == 2
    assert "phone" in message


def test_a_share_of_sentences_of_one_length(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    config = CONFIG | {"latency": {"source_length": 4, "target_steps": 3}}
    (tmp_path / "toy.yaml").write_text(yaml.safe_dump(config))
    run = RunDirectory.create(tmp_path / "toy.yaml")
    before = sorted(run.path.rglob("*"))
    status, message = failure(capsys, "--latency=9ms@p90", "--device=cpu")
    assert status == 2
    assert "9ms@p90" in message
    assert "latency.source_length and latency.target_steps to null" in message
    assert sorted(run.path.rglob("*")) == before


def test_no_run(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    status, message = failure(capsys, "--latency=9ms")
    assert status == 4
    assert "--run" in message


@pytest.mark.parametrize("mode", ["--latency=9ms", "--front"])
def test_a_device_that_does_not_exist(run, capsys, mode):
    status, message = failure(capsys, mode, "--device=toaster")
    assert status == 5
    assert "toaster" in message


@pytest.mark.parametrize("mode", ["--latency=9ms", "--front"])
def test_no_supertransformer(run, capsys, mode):
    status, message = failure(capsys, mode, "--device=cpu")
    assert status == 4
    assert "hat-train-super" in message


@pytest.mark.parametrize(("option", "value"), [("--latency", "9ms"), ("--name", "phone")])
def test_a_front_is_for_all_budgets(run, capsys, option, value):
    before = sorted(run.path.rglob("*"))
    status, message = failure(capsys, "--front", option, value)
    assert status == 2
    assert f"leave out {option}" in message
    assert sorted(run.path.rglob("*")) == before


def test_another_precision_needs_samples_of_its_own(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    run = make_run(tmp_path)
    write_samples(run, 12, "cpu")
    run.super_.mkdir()
    (run.super_ / "done.json").write_text('{"inputs": "any"}')
    status, message = failure(capsys, "--latency=9ms", "--device=cpu", "--precision=int8")
    assert status == 4
    assert "cpu.int8.jsonl: 0 samples" in message
    assert "hat-measure-latency --device cpu.int8" in message


def test_a_front_is_about_one_precision(run, capsys):
    status, message = failure(capsys, "--front", "--precision=any")
    assert status == 2
    assert "--precision int8" in message
