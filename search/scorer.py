"""Scores several candidates at a time, each on one CPU thread, so that no score depends on how many there are."""

import functools
import queue
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import torch

from hat.architecture.stacks import Architecture
from hat.data.drawing import draw_lines
from hat.experiment.run_directory import RunDirectory
from hat.training.processes import local_rank


class Scorer:
    """(Architectures, part of the sentences) -> iterator of what an inherited loss says of them, in their order.

    `loss` is a task's `inherited_loss`; `threads` candidates are computed side by side, by twins of it.
    """

    def __init__(self, loss: Any, threads: int) -> None:
        self._free: queue.SimpleQueue[Any] = queue.SimpleQueue()
        for twin in [loss, *(loss.twin() for _ in range(threads - 1))]:
            self._free.put(twin)
        self._pool = ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,))

    def __call__(self, architectures: Sequence[Architecture], part: int) -> Iterator[tuple[float, int]]:
        before = torch.get_num_threads()
        torch.set_num_threads(1)  # of the matrix products; torch has one number for all its users
        try:
            yield from self._pool.map(functools.partial(self._score, part=part), architectures)
        finally:
            torch.set_num_threads(before)

    def _score(self, architecture: Architecture, part: int) -> tuple[float, int]:
        loss = self._free.get()
        try:
            return loss(architecture, part)
        finally:
            self._free.put(loss)


def load_scorer(run: RunDirectory) -> Scorer:
    """The Scorer of a run's SuperTransformer: on a GPU of its own, or on as many CPU threads as torch has."""
    settings = run.config.search
    lines = draw_lines(run.prepared(), "valid", settings.validation_sentences, run.config.seed)
    parts = np.split(lines, settings.rungs)
    if torch.cuda.is_available():
        device = f"cuda:{local_rank() % torch.cuda.device_count()}"
        return Scorer(run.task.inherited_loss(run, parts, device), threads=1)
    return Scorer(run.task.inherited_loss(run, parts, "cpu"), torch.get_num_threads())
