"""A search in the processes that torchrun started: the first one leads it, and all of them score candidates.

Whole candidates are dealt out, so that each is scored as one process alone would. Only architectures and losses
travel, by gloo, which also tells at once when a process has ended.
"""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import distributed

from hat import files
from hat.architecture.stacks import Architecture
from hat.errors import ArtifactError, ProcessError
from hat.experiment.run_directory import RunDirectory, stamp
from hat.training import processes
from search.candidate import Scores

# Candidates for every thread of a process between two exchanges: few, since a kill loses them; several, since some
# take longer than others.
SHARE = 4


def spread(
    run: RunDirectory, scorer: Scores, architectures: Sequence[Architecture], part: int
) -> Iterator[tuple[float, int]]:
    """Iterate over scores of the architectures in their order, computed by all processes; called by the first.

    `scorer` maps (architectures, part of the sentences) to an iterator of scores, in this process.
    """
    if not distributed.is_initialized():
        yield from scorer(architectures, part)
        return
    ranks = processes.world_size()
    step = ranks * SHARE * torch.get_num_threads()
    for start in range(0, len(architectures), step):
        dealt = architectures[start : start + step]
        _tell((_identity(run), dealt, part))
        scores = None
        try:
            scores = list(scorer(dealt[::ranks], part))
        finally:  # the others wait to give theirs, whatever happened here
            shares = _collect(scores)
        yield from (shares[place % ranks][place // ranks] for place in range(len(dealt)))


@contextlib.contextmanager
def leading() -> Iterator[None]:
    """The first process's search; when it ends, however it ends, so do the others."""
    try:
        yield
    except ProcessError:
        raise  # there is nobody left to tell
    except BaseException:
        _tell(None)
        raise
    _tell(None)


def follow(run: RunDirectory, load_scorer: Callable[[RunDirectory], Scores]) -> None:
    """Score what the first process deals out, until it says that this is the end.

    Raises ArtifactError if this machine's run directory has other weights or sentences than the first process's.
    """
    scorer = None
    while (told := _tell(None)) is not None:
        identity, dealt, part = told
        if identity != _identity(run):
            raise ArtifactError(
                f"{run.path}, as rank {processes.rank()} sees it, has another SuperTransformer, other data or another "
                f"config than that of rank 0; copy config.yaml, data/ and super/ to this machine"
            )
        scorer = scorer or load_scorer(run)
        _collect(list(scorer(dealt[processes.rank() :: processes.world_size()], part)))


def _identity(run: RunDirectory) -> str:
    """What losses depend on, as this process's machine has it."""
    return files.fingerprint([stamp(run.super_), stamp(run.data), run.sections("seed", "data", "search")])


def _tell(message: Any) -> Any:
    """The first process's message, in every process."""
    return processes.from_first(lambda: message)


def _collect(value: Any) -> Any:
    """Every process's value."""
    return processes.gathered(value)
