"""Everything that lets fairseq run on today's torch, numpy and omegaconf; nothing of fairseq is changed on disk."""

import argparse
import contextlib
import importlib
import logging
import os
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import torch


def _allow_fairseq_checkpoints() -> None:
    """Let `torch.load(weights_only=True)`, the default since torch 2.6, read what fairseq's checkpoints hold.

    These are plain values without code: the old `args` namespace, and numpy scalars in the meters.
    """
    torch.serialization.add_safe_globals(
        [argparse.Namespace, np.dtype, np.float64, np.int64]  # type: ignore[arg-type]
        + [type(np.dtype(kind)) for kind in (np.float64, np.float32, np.int64)]
        + [np._core.multiarray.scalar]
    )


def _restore_numpy_aliases() -> None:
    """fairseq still says `np.int` and `np.float`, which numpy 1.24 removed."""
    for name, builtin in (("int", int), ("float", float), ("bool", bool)):
        if name not in np.__dict__:
            setattr(np, name, builtin)


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Silence fairseq's and hydra's advice to their own developers while something of theirs is set up."""
    disabled = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(disabled)


# Files of fairseq's packages that we build on. It would import all others too, those of speech with scipy and
# scikit-learn, which takes longer than all the rest; whoever imports one of them by its name still finds it.
_NEEDED = {
    "criterions": {"cross_entropy.py", "label_smoothed_cross_entropy.py"},
    "models": {"ema", "transformer"},
    "tasks": {"translation.py"},
}


def _import_what_is_needed() -> None:
    """Import fairseq's packages, which import every file that they find in their folder, with the needed ones only."""
    list_folder = os.listdir

    def list_needed(folder: str = ".") -> list[str]:
        names, path = list_folder(folder), Path(folder)
        needed = _NEEDED.get(path.name) if path.parent.name == "fairseq" else None
        return names if needed is None else [name for name in names if name in needed]

    with mock.patch("os.listdir", list_needed):
        importlib.import_module("fairseq.tasks")


def _import_quietly() -> None:
    warnings.filterwarnings("ignore", message=".*pin_memory.*")  # fairseq always asks for pinned memory
    warnings.filterwarnings("ignore", category=FutureWarning, message=".*torch.cuda.amp.*")
    level, handlers = logging.root.level, list(logging.root.handlers)
    with quiet():
        _import_what_is_needed()
    logging.root.setLevel(level)
    logging.root.handlers[:] = handlers


def _send_checkpoints_by_torch() -> None:
    """Let fairseq send a checkpoint to the other processes: in its own way these no longer read it, since torch 2.6."""

    def broadcast_object(value: Any, src_rank: int, group: Any, dist_device: Any = None) -> Any:
        box = [value]
        torch.distributed.broadcast_object_list(box, src=src_rank, group=group)
        return box[0]

    importlib.import_module("fairseq.distributed.utils").broadcast_object = broadcast_object


def _leave_out_nan_hooks() -> None:
    """Let fairseq end a diverged training with its own error: its NaN detector knows no outputs but tuples."""
    importlib.import_module("fairseq.trainer").NanDetector = lambda _model: contextlib.nullcontext()


_allow_fairseq_checkpoints()
_restore_numpy_aliases()
_import_quietly()
_send_checkpoints_by_torch()
_leave_out_nan_hooks()
