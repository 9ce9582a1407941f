"""Processes that train together equal one with their batches, and none ends well before the result is written."""

import os
import shutil
import time
from contextlib import nullcontext

import pytest
from forked_ranks import together
from near_models import assert_near
from tiny_run import make_run

from hat import files
from hat.experiment.run_directory import RunDirectory
from hat.training import machines, processes
from hat.training.options import TrainingOptions
from hat.training.sub import train_sub
from hat.training.super import train_super

STILL = {"dropout": 0.0, "attention_dropout": 0.0}  # ranks draw other masks than one process does


@pytest.mark.parametrize("tokens", [1600, 6400], ids=["2 and 1 batches", "an epoch's 5 at once, 3 and 2 a process"])
def test_two_processes_equal_one_that_accumulates_twice_as_much(tmp_path, tokens):
    runs = {}
    for count in (1, 2):
        folder = tmp_path / str(count)
        folder.mkdir()
        updates = {"max_update": 6, "tokens_per_update": tokens, "validate_every": 6}
        runs[count] = make_run(folder, model=STILL, super_training=updates)
        together(*[lambda run=runs[count]: train_super(run)] * count)
    assert_near(*(runs[count].super_ for count in (1, 2)))
    losses = [files.read_json_lines(runs[count].super_ / "metrics.jsonl")[-1]["valid"] for count in (1, 2)]
    assert losses[0] == pytest.approx(losses[1], abs=1e-4)


def test_a_subtransformer_inherits_from_what_only_the_first_machine_has(tmp_path):
    runs = []
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        runs.append(make_run(tmp_path / name, model=STILL, sub_training={"tokens_per_update": 800}))
    near, far = runs
    train_super(near, TrainingOptions(max_update=2))
    alone = RunDirectory(shutil.copytree(near.path, tmp_path / "alone"))
    architecture, options = near.config.search_space.smallest(), TrainingOptions(init="inherit", max_update=4)
    train_sub(alone, "small", architecture, options)

    def train(run):
        machines.meet(run.path, run.config, "cpu")
        train_sub(run, "small", architecture, options)
        return sorted(path.name for path in run.sub("small").iterdir())

    found = together(lambda: train(near), lambda: train(far))
    assert "model.safetensors" in found[0]
    assert found[1] == ["architecture.yaml"]
    assert_near(alone.sub("small"), near.sub("small"))


def test_no_process_ends_well_where_the_first_dies_before_it_has_written_its_result():
    def train(write):
        with processes.entered_by_first(nullcontext()):
            write()

    def die_late():
        time.sleep(1)
        os._exit(1)

    found = together(lambda: train(die_late), lambda: train(lambda: None))
    assert found == [None, ("ProcessError", processes.LOST)]
