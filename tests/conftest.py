"""Tests compute on one thread: several threads of tiny products wait for each other, all the more on a busy machine."""

import os
import sys
from pathlib import Path

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")  # read by torch, onnxruntime and every command that a test starts

# transformers, a peer in some tests, would import it; fairseq brings it along, maybe one of another torch.
sys.modules.setdefault("torchaudio", None)

# What measures times, or starts several processes, wants the machine for itself.
ALONE = [Path(__file__).parent / folder for folder in ("integration", "latency_predictor", "search")]


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    """Mark the tests of these folders, and those of benchmarks, `alone`."""
    for item in items:
        if item.path.name.endswith("_benchmark.py") or any(folder in item.path.parents for folder in ALONE):
            item.add_marker("alone")
