"""Two commands at the same time in one run directory: the second says who is there, and the first goes on."""

import contextlib
import multiprocessing
import os
import shutil
import signal
import socket

import pytest
import torch
from tiny_run import make_run

from hat.cli import prepare as prepare_command
from hat.cli import train_sub as train_sub_command
from hat.cli import train_super as train_super_command
from hat.experiment.run_directory import RunDirectory
from hat.fairseq_plugin.binarise import BinarisedText
from hat.training.super import train_super

pytestmark = pytest.mark.alone

FORK = multiprocessing.get_context("fork")
DEADLINE = 120  # seconds


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return make_run(tmp_path, super_training={"max_update": 4}, sub_training={"max_update": 4})


@contextlib.contextmanager
def stopped_at(owner, name, function):
    """A process that calls `function` and waits in `owner.name` until the block ends."""
    (arrived, arrival), (left, leaving), original = FORK.Pipe(False), FORK.Pipe(False), getattr(owner, name)

    def waiting(*arguments, **options):
        setattr(owner, name, original)
        arrival.send(None)
        left.poll(DEADLINE)
        return original(*arguments, **options)

    def child():
        torch.set_num_threads(1)
        setattr(owner, name, waiting)
        function()

    process = FORK.Process(target=child)
    process.start()
    try:
        assert arrived.poll(DEADLINE)
        yield process
    finally:
        leaving.send(None)
        process.join(DEADLINE)


def refused(capsys, process, command, *arguments):
    """The one line of a command that finds `process` at work."""
    with pytest.raises(SystemExit) as ended:
        command.main([str(argument) for argument in arguments])
    lines = [line for line in capsys.readouterr().err.splitlines() if ": error: " in line]
    assert (ended.value.code, len(lines)) == (11, 1)
    assert f"(process {process.pid} on {socket.gethostname()}) works in " in lines[0]
    return lines[0]


def test_preparing(run, capsys):
    shutil.rmtree(run.data)
    arguments = ["tiny.yaml", "--run", str(run.path)]
    with stopped_at(BinarisedText, "add", lambda: prepare_command.main(arguments)) as first:
        assert str(run.data) in refused(capsys, first, prepare_command, *arguments)
        assert str(run.data) in refused(capsys, first, train_super_command, *arguments)
    assert first.exitcode == 0
    prepare_command.main(arguments)
    assert "data is up to date" in capsys.readouterr().out


def test_training(run, capsys):
    arguments = ["--run", run.path, "--device", "cpu"]
    with stopped_at(torch.Tensor, "backward", lambda: train_super(run)) as first:
        for more in ((), ("--processes", 2)):
            assert str(run.super_) in refused(capsys, first, train_super_command, *arguments, *more)
        train_sub_command.main([*map(str, arguments), "--architecture", "full"])  # into another folder
    assert first.exitcode == 0
    assert (run.super_ / "model.safetensors").exists()


def test_a_training_that_was_killed_keeps_nobody_out(run):
    with stopped_at(torch.Tensor, "backward", lambda: train_super(run)) as first:
        os.kill(first.pid, signal.SIGKILL)
        first.join(DEADLINE)
        train_super(RunDirectory(run.path))
    assert (run.super_ / "model.safetensors").exists()
