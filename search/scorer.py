"""Scores several candidates at a time, each on one CPU thread, so that no score depends on how many there are."""

import functools
import queue
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch

from hat.data.pairs import draw_lines
from hat.data.prepared import PreparedData
from hat.fairseq_plugin.datasets import load_batches
from hat.models.checkpoint import load_model
from hat.training.processes import local_rank
from search.scoring import InheritedLoss


class Scorer:
    """(Architectures, part of the sentences) -> iterator of what an InheritedLoss says of them, in their order.

    `loss` is an InheritedLoss; `threads` candidates are computed side by side, by twins of it.
    """

    def __init__(self, loss, threads):
        self._free = queue.SimpleQueue()
        for twin in [loss, *(loss.twin() for _ in range(threads - 1))]:
            self._free.put(twin)
        self._pool = ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,))

    def __call__(self, architectures, part):
        before = torch.get_num_threads()
        torch.set_num_threads(1)  # of the matrix products; torch has one number for all its users
        try:
            yield from self._pool.map(functools.partial(self._score, part=part), architectures)
        finally:
            torch.set_num_threads(before)

    def _score(self, architecture, part):
        loss = self._free.get()
        try:
            return loss(architecture, part)
        finally:
            self._free.put(loss)


def load_scorer(run):
    """The Scorer of a run's SuperTransformer: on a GPU of its own, or on as many CPU threads as torch has."""
    settings, prepared = run.config.search, PreparedData(run.data)
    lines = draw_lines(prepared, "valid", settings.validation_sentences, run.config.seed)
    parts = [load_batches(prepared, "valid", settings.max_tokens, part) for part in np.split(lines, settings.rungs)]
    model = load_model(run.super_)
    if torch.cuda.is_available():
        return Scorer(InheritedLoss(model, parts, f"cuda:{local_rank() % torch.cuda.device_count()}"), threads=1)
    return Scorer(InheritedLoss(model, parts), torch.get_num_threads())
