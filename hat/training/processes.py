"""Several training processes, started by `torchrun`; one process needs none of this and gets the same answers.

Gradients go through torch's default group. All else goes through a group of its own on the CPU (gloo), which may wait
for long while one process prepares data or measures. Either tells at once when a process has ended; `silence` tells
when a machine is cut off.
"""

import contextlib
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from datetime import timedelta
from typing import Any

import torch
from torch import distributed

from hat.errors import DeviceError, ProcessError
from hat.training import silence
from hat.training.lifeline import end_with_torchrun

PREPARING = timedelta(hours=24)  # the others wait while one prepares
TRAINING = timedelta(minutes=15)  # between two exchanges of a training; a process that is silent for longer hangs
LOST = (
    "another process of this command has ended, for the reason it printed, or no longer answers; run the same command "
    "again to go on"
)

_waiting = None  # the group of all exchanges but gradients


def world_size() -> int:
    """How many processes train together."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def rank() -> int:
    """This process's number; 0 prints and writes."""
    return int(os.environ.get("RANK", "0"))


def local_rank() -> int:
    """This process's number on its machine: the GPU it uses."""
    return int(os.environ.get("LOCAL_RANK", "0"))


def machine_count() -> int:
    """On how many machines they run."""
    return int(os.environ.get("GROUP_WORLD_SIZE", "1"))  # torchrun's word for them


def is_first() -> bool:
    """Whether this process is the one that prints and writes."""
    return rank() == 0


@contextlib.contextmanager
def joined(device: str) -> Iterator[None]:
    """Join the processes that torchrun started (NCCL on GPUs, gloo on CPUs) for the time of a training.

    Raises DeviceError without a GPU for this process, ProcessError if another process ends.
    """
    global _waiting
    if world_size() == 1 or distributed.is_initialized():
        yield
        return
    end_with_torchrun()
    with _losses_told():
        distributed.init_process_group("cpu:gloo,cuda:nccl" if device == "cuda" else "gloo", timeout=TRAINING)
        _waiting = distributed.new_group(backend="gloo", timeout=PREPARING)
        try:
            agreed(lambda: _take_gpu() if device == "cuda" else None)
            with _silence_told():
                yield
        finally:
            _waiting = None
            distributed.destroy_process_group()


def _silence_told() -> AbstractContextManager[None]:
    if machine_count() == 1:
        return contextlib.nullcontext()
    return silence.told(os.environ["MASTER_ADDR"], from_first, is_first())


def _take_gpu() -> None:
    found = torch.cuda.device_count()
    if local_rank() >= found:
        raise DeviceError(
            f"rank {rank()} has no GPU: torch finds {found} on its machine; start {found} processes there, "
            f"or train with --device cpu"
        )
    torch.cuda.set_device(local_rank())


def is_lost(error: BaseException) -> bool:
    """Whether an exception says that another process has ended or doesn't answer."""
    return isinstance(error, distributed.DistError) or (isinstance(error, RuntimeError) and "gloo" in str(error))


@contextlib.contextmanager
def _losses_told() -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:
        if not is_lost(error):
            raise
        raise ProcessError(LOST) from None


def barrier() -> None:
    """Wait until every process has come here."""
    gathered(None)


def gathered(value: Any) -> list[Any]:
    """The values of all processes, by rank, in every process."""
    if not distributed.is_initialized():
        return [value]
    values = [None] * world_size()
    with _losses_told():
        distributed.all_gather_object(values, value, group=_waiting)
    return values


def from_first(function: Callable[[], Any]) -> Any:
    """The value of `function()`, in every process; only the first calls it, and if it raises, the others end too."""
    if not distributed.is_initialized():
        return function()
    box = [function() if is_first() else None]
    with _losses_told():
        distributed.broadcast_object_list(box, src=0, group=_waiting)
    return box[0]


@contextlib.contextmanager
def entered_by_first(context: AbstractContextManager[Any]) -> Iterator[None]:
    """Keep the first process in a context manager for the time of the block; where it raises, none goes on.

    Nor does any leave the block before all have come to its end: if one ends well, the first has written its result.
    """
    with contextlib.ExitStack() as stack:
        agreed(lambda: stack.enter_context(context) if is_first() else None)
        yield
        barrier()


def agreed(function: Callable[[], Any]) -> Any:
    """The value of `function()`, which every process calls; where it raises in one, no other goes on.

    Those in which it went well raise ProcessError with the reason.
    """
    value = error = None
    try:
        value = function()
    except Exception as caught:
        error = caught
    reasons = gathered(None if error is None else str(error))
    if error is not None:
        raise error
    for other, reason in enumerate(reasons):
        if reason is not None:
            raise ProcessError(f"rank {other} has ended: {reason}")
    return value
