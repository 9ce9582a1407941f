"""Memory that runs out ends a training on all ranks, with the remedy."""

import os

import numpy as np
import pytest
import torch
from deaths import assert_same_result, run_and_die
from forked_ranks import together
from tiny_run import make_run

from hat.cli import train_super as command
from hat.errors import OutOfMemoryError
from hat.fairseq_plugin.translation_task import HatTranslationTask
from hat.training.sub import train_sub
from hat.training.super import train_super

SAVED, FAILING = 3, 5  # numbers of updates
CUDA = torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.\nGPU 0 has a total capacity of 1 GiB.")
CPU = RuntimeError("[enforce fail at alloc_cpu.cpp:117] DefaultCPUAllocator: can't allocate memory: you tried to")


def run_out(monkeypatch, error, batch, rank=0):
    """Raise `error` in that batch, counted from 0, of update FAILING on a rank, when its gradient is summed already."""
    step, batches = HatTranslationTask.train_step, []

    def failing(task, **arguments):
        result = step(task, **arguments)
        batches.append(arguments["update_num"])
        if batches.count(FAILING - 1) == batch + 1 and int(os.environ.get("RANK", "0")) == rank:
            raise error
        return result

    monkeypatch.setattr(HatTranslationTask, "train_step", failing)


def last_update(folder):
    saved = torch.load(folder / "checkpoints" / "checkpoint_last.pt")
    return saved["optimizer_history"][-1]["num_updates"]


@pytest.mark.parametrize("error", [CUDA, CPU], ids=["cuda", "cpu"])
def test_a_command_names_the_setting_and_the_subtransformer_and_goes_on_from_the_checkpoint(
    tmp_path, monkeypatch, capsys, error
):
    run, straight = make_run(_folder(tmp_path, "run")), make_run(_folder(tmp_path, "straight"))
    monkeypatch.chdir(tmp_path)
    with monkeypatch.context() as patch:
        run_out(patch, error, batch=1)
        with pytest.raises(SystemExit) as stopped:
            command.main(["--run", str(run.path), "--threads", "1"])
    assert stopped.value.code == 10
    (line,) = (line for line in capsys.readouterr().err.splitlines() if "memory" in line)
    learner = run.config.search_space.sample(np.random.default_rng((run.config.seed, FAILING - 1)))
    assert f"out of memory in update {FAILING} of {learner.summary()} ({str(error)[:17]}" in line
    assert "lower super_training.max_tokens, now 400, in the config" in line
    assert f"it goes on after update {SAVED}" in line
    assert last_update(run.super_) == SAVED
    assert not (run.super_ / "checkpoints" / "crash.pt").exists()
    for each in (run, straight):
        assert run_and_die(lambda each=each: train_super(each)) == 0
    assert_same_result(straight.super_, run.super_)


def _folder(parent, name):
    folder = parent / name
    folder.mkdir()
    return folder


@pytest.mark.parametrize("batch", [0, 1])
@pytest.mark.parametrize("rank", [0, 1])
def test_all_ranks_end_where_one_runs_out(tmp_path, monkeypatch, batch, rank):
    run = make_run(tmp_path, super_training={"tokens_per_update": 1600})
    run_out(monkeypatch, CUDA, batch, rank)
    found = together(*[lambda: train_super(run)] * 2)
    for each, (kind, text) in enumerate(found):
        assert kind == "OutOfMemoryError"
        assert f"out of memory in update {FAILING} of encoder" in text
        assert ("CUDA" if each == rank else "another process ran out of memory") in text
        assert f"goes on after update {SAVED}" in text
    assert last_update(run.super_) == SAVED


def test_in_a_validation_before_any_checkpoint(tmp_path, monkeypatch):
    run = make_run(tmp_path, sub_training={"validate_every": 2, "save_every": 5})

    def failing(task, *arguments):
        raise CUDA

    monkeypatch.setattr(HatTranslationTask, "valid_step", failing)
    with pytest.raises(OutOfMemoryError, match=r"validation after update 2 .*sub_training.max_tokens.*it starts again"):
        train_sub(run, "small", run.config.search_space.smallest())
