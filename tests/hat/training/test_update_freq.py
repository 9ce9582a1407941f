"""An older config's `update_freq`, which several processes formerly multiplied: its tokens are told."""

import shutil

import pytest
import yaml
from tiny_run import make_run

from hat import files
from hat.cli import train_super as command
from hat.training import super as stage
from hat.training.options import TrainingOptions, warn_of_update_freq

TWO = TrainingOptions(processes=2)


@pytest.fixture
def outdated(tmp_path, monkeypatch):
    """The tiny config as an earlier version had it, of batches of 400 tokens, in the current folder."""
    monkeypatch.chdir(tmp_path)
    shutil.rmtree(make_run(tmp_path).path)
    config = yaml.safe_load((tmp_path / "tiny.yaml").read_text())
    del config["super_training"]["tokens_per_update"]
    config["super_training"]["update_freq"] = 3
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(config))
    return "tiny.yaml"


def test_the_tokens_of_an_update_are_told_before_and_now(outdated, capsys, monkeypatch):
    started = []
    monkeypatch.setattr(stage, "run_in_processes", lambda *arguments: started.append(arguments))
    command.main([outdated, "--run", "run", "--device", "cpu", "--processes", "2"])
    assert len(started) == 1
    warnings = [line for line in capsys.readouterr().err.splitlines() if line.startswith("warning:")]
    assert warnings == [
        "warning: tiny.yaml: super_training.update_freq: 3 makes 1200 tokens an update, over all 2 processes together; "
        "earlier versions took 2400: for these write tokens_per_update: 2400 in its place"
    ]


def test_where_nothing_changed_nothing_is_told(outdated, capsys, monkeypatch):
    warn_of_update_freq(outdated, TrainingOptions())
    monkeypatch.setenv("RANK", "1")
    warn_of_update_freq(outdated, TWO)
    monkeypatch.delenv("RANK")
    files.write_yaml("mine.yaml", {"super_training": {"tokens_per_update": 1200}})
    warn_of_update_freq("mine.yaml", TWO)
    assert capsys.readouterr().err == ""
