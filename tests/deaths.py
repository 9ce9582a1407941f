"""Trainings killed with SIGKILL at a chosen moment, and what they leave compared bit for bit."""

import multiprocessing
import os
import signal
from pathlib import Path

import torch

from hat import files

FORK = multiprocessing.get_context("fork")


def run_and_die(function, replacements=None, backward_passes=None):
    """Call `function` in a child that kills itself at the n-th file replacement, or in the n-th backward pass."""

    def child():
        torch.set_num_threads(1)
        if replacements:
            os.replace = dying_at(replacements, os.replace)
        if backward_passes:
            torch.Tensor.backward = dying_at(backward_passes, torch.Tensor.backward)
        function()

    process = FORK.Process(target=child)
    process.start()
    process.join()
    return process.exitcode


def dying_at(count, function):
    calls = iter(range(1, count + 1))

    def wrapper(*arguments, **options):
        if next(calls) == count:
            os.kill(os.getpid(), signal.SIGKILL)
        return function(*arguments, **options)

    return wrapper


def assert_same_result(first, second):
    assert (first / "model.safetensors").read_bytes() == (second / "model.safetensors").read_bytes()
    rows = [files.read_json_lines(folder / "metrics.jsonl") for folder in (first, second)]
    for row in rows[0] + rows[1]:
        del row["seconds"]
    assert rows[0] == rows[1]
    assert len(rows[0]) >= 2


def rank_process(parent, rank):
    """The process id of a rank of the torchrun with the process id `parent`."""
    for path in Path("/proc").glob("[0-9]*"):
        try:
            stat, environment = (path / "stat").read_text(), (path / "environ").read_bytes()
        except OSError:
            continue
        if int(stat.rpartition(")")[2].split()[1]) == parent and f"RANK={rank}".encode() in environment.split(b"\0"):
            return int(path.name)
    raise AssertionError(f"rank {rank} doesn't run")
