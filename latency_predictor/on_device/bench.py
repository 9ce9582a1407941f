"""What times deployed graphs on a device: onnxruntime, numpy and what runs bundles only (Python 3.9)."""

from __future__ import annotations

import base64
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hat.deploy.sessions import Sessions
from latency_predictor.on_device.timing import clock_for, time_rounds
from latency_predictor.on_device.workloads import WORKLOADS

SEED = 1  # of weights, whose values don't matter
CHUNK = 1 << 20  # numbers written at a time


class Bench:
    """Times subjects: graphs without their weights, which are made up here in `folder`.

    `setup` holds `threads`, `accelerator`, `repeats`, the names of the task's `phases`, the `points` to measure at,
    each with a length for each phase, a subject `reference` that is measured beside all others, at the middle one of
    the points, the name of the `task` and what its `workload` is made of.
    A subject is {"graphs": {name: base64 of a compressed ONNX graph}, "weights": {file: bytes}}.
    """

    def __init__(self, folder: Path | str, setup: dict[str, Any]) -> None:
        self._folder, self._setup = Path(folder), setup
        self._clock = clock_for(setup["threads"], setup["accelerator"])
        points = setup["points"]
        self._reference = self._runs(setup["reference"], [points[len(points) // 2]])[0]

    def measure(self, request: dict[str, Any]) -> dict[str, Any]:
        """Timings of `request["subject"]` at each of the points, as a JSON-like dictionary."""
        points = self._setup["points"]
        runs = self._runs(request["subject"], points)
        found = time_rounds(runs, self._reference, self._setup["repeats"], self._clock)
        return found.to_dict(self._setup["phases"], points)

    def _runs(self, subject: dict[str, Any], points: Sequence[Sequence[int]]) -> list[Callable[[], Sequence[float]]]:
        """One function for each of the points, which does the whole work of a sentence."""
        for name, size in subject["weights"].items():
            make_weights(self._folder / name, size)
        paths = {name: self._folder / f"{name}.onnx" for name in subject["graphs"]}
        for name, path in paths.items():
            path.write_bytes(zlib.decompress(base64.b64decode(subject["graphs"][name])))
        sessions = Sessions(paths, self._setup["threads"], self._setup["accelerator"])
        for name in paths:
            sessions[name]  # opened here, not within the first run
        return WORKLOADS[self._setup["task"]](sessions, self._setup["workload"], points, self._clock)


def make_weights(path: Path, size: int) -> None:
    """Let the file at `path`, named DTYPE.bin, hold at least `size` bytes of numbers of that type.

    They are small and positive, so that nothing overflows and no scale is zero.
    """
    dtype = np.dtype(path.stem)
    present = path.stat().st_size if path.exists() else 0
    rng = np.random.default_rng([SEED, present])
    with open(path, "ab") as handle:
        while present < size:
            count = min(CHUNK, -(-(size - present) // dtype.itemsize))
            numbers = rng.uniform(0.01, 0.05, count) if dtype.kind == "f" else rng.integers(1, 100, count)
            handle.write(numbers.astype(dtype).tobytes())
            present += count * dtype.itemsize
