"""Two processes with half the batches each train what one process with twice the accumulation trains."""

import multiprocessing
import os
import socket

import pytest
import torch
from safetensors.numpy import load_file
from tiny_run import make_run

from hat import files
from hat.training.super import train_super

FORK = multiprocessing.get_context("fork")


def train_with_processes(run, count):
    """train_super in `count` processes that see what torchrun would tell them."""
    with socket.socket() as found:
        found.bind(("localhost", 0))
        port = found.getsockname()[1]

    def train(rank):
        torch.set_num_threads(1)
        ranks = {"WORLD_SIZE": count, "RANK": rank, "LOCAL_RANK": rank, "MASTER_ADDR": "localhost", "MASTER_PORT": port}
        os.environ.update({name: str(value) for name, value in ranks.items()})
        train_super(run)

    children = [FORK.Process(target=train, args=(rank,)) for rank in range(count)]
    for child in children:
        child.start()
    for child in children:
        child.join()
    assert [child.exitcode for child in children] == [0] * count


def test_two_processes_equal_one_that_accumulates_twice_as_much(tmp_path):
    still = {"dropout": 0.0, "attention_dropout": 0.0}  # ranks draw the same masks, for other sentences
    runs = {}
    for count in (1, 2):
        folder = tmp_path / str(count)
        folder.mkdir()
        updates = {"max_update": 6, "tokens_per_update": 1600, "validate_every": 6}
        runs[count] = make_run(folder, model=still, super_training=updates)
        train_with_processes(runs[count], count)
    one, two = (load_file(runs[count].super_ / "model.safetensors") for count in (1, 2))
    for name in one:
        if "kv_proj.bias" not in name:  # a key's bias has no effect: its gradient is rounding, which Adam blows up
            assert two[name] == pytest.approx(one[name], abs=2e-4), name
    losses = [files.read_json_lines(runs[count].super_ / "metrics.jsonl")[-1]["valid"] for count in (1, 2)]
    assert losses[0] == pytest.approx(losses[1], abs=1e-4)
