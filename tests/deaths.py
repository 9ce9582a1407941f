"""Trainings killed with SIGKILL at a chosen moment, and what they leave compared bit for bit."""

import multiprocessing
import os
import signal

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
