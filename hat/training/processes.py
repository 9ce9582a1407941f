"""Several training processes, started by `torchrun`; one process needs none of this and gets the same answers."""

import contextlib
import os
from datetime import timedelta

import torch

WAIT = timedelta(hours=24)  # the other ranks wait while the first prepares the data


def world_size():
    """How many processes train together."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def rank():
    """This process's number; 0 prints and writes."""
    return int(os.environ.get("RANK", "0"))


def local_rank():
    """This process's number on its machine: the GPU it uses."""
    return int(os.environ.get("LOCAL_RANK", "0"))


def is_first():
    """Whether this process is the one that prints and writes."""
    return rank() == 0


@contextlib.contextmanager
def joined(device):
    """Join the processes that torchrun started (NCCL on GPUs, gloo on CPUs) for the time of a training."""
    if device == "cuda":
        torch.cuda.set_device(local_rank())
    if world_size() == 1 or torch.distributed.is_initialized():
        yield
        return
    torch.distributed.init_process_group("nccl" if device == "cuda" else "gloo", timeout=WAIT)
    try:
        yield
    finally:
        torch.distributed.destroy_process_group()


def barrier():
    """Wait until every process has come here."""
    if torch.distributed.is_initialized():
        torch.distributed.barrier()


def first_rank_first(function):
    """The value of `function()`, called by the first process before the others, so that it alone does the work."""
    if is_first():
        value = function()
    barrier()
    return value if is_first() else function()
