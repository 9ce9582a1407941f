"""What times a translation on a device: onnxruntime, numpy and the deployed beam search only (Python 3.9)."""

import base64
import functools
import zlib
from pathlib import Path

import numpy as np

from hat.deploy.beam_search import BeamSearch, loop_name
from hat.deploy.search_options import SearchOptions
from hat.deploy.sessions import Sessions
from latency_predictor.on_device.timing import clock_for, time_rounds

SEED = 1  # of weights and sentences, whose values don't matter
FIRST_WORD = 4  # token ids below are special symbols
CHUNK = 1 << 20  # numbers written at a time


class Bench:
    """Times subjects: graphs without their weights, which are made up here in `folder`.

    `setup` holds `threads`, `accelerator`, `beam`, `repeats`, `source_vocabulary`, the `points`
    [[source_length, target_steps], ...] to measure at, and a subject `reference` that is measured beside all others, at
    the middle one of the points.
    A subject is {"graphs": {name: base64 of a compressed ONNX graph}, "weights": {file: bytes}}.
    """

    def __init__(self, folder, setup):
        self._folder, self._setup = Path(folder), setup
        self._clock = clock_for(setup["threads"], setup["accelerator"])
        points = setup["points"]
        self._reference = self._translations(setup["reference"], [points[len(points) // 2]])[0]

    def measure(self, request):
        """Timings of `request["subject"]` at each of the points, as a JSON-like dictionary."""
        points = self._setup["points"]
        translations = self._translations(request["subject"], points)
        return time_rounds(translations, self._reference, self._setup["repeats"], self._clock).to_dict(points)

    def _translations(self, subject, points):
        """One function for each of the points, which translates a sentence and returns the encoder's seconds."""
        for name, size in subject["weights"].items():
            make_weights(self._folder / name, size)
        paths = {name: self._folder / f"{name}.onnx" for name in subject["graphs"]}
        for name, path in paths.items():
            path.write_bytes(zlib.decompress(base64.b64decode(subject["graphs"][name])))
        beam = self._setup["beam"]
        sessions = Sessions(paths, self._setup["threads"], self._setup["accelerator"])
        search = BeamSearch(sessions)
        search.encoder.clock = self._clock
        for name in needed_graphs(paths, beam):
            sessions[name]  # opened here, not within the first run
        return [
            functools.partial(_translate, search, self._sentence(source), SearchOptions(beam), steps)
            for source, steps in points
        ]

    def _sentence(self, length):
        end = 2
        words = np.random.default_rng(SEED).integers(FIRST_WORD, self._setup["source_vocabulary"], size=length - 1)
        return [*words.tolist(), end]


def needed_graphs(names, beam):
    """Those of the `names` of a bundle's graphs that the translation of one sentence with `beam` runs."""
    return ("encoder", loop_name(names, beam, sentences=1))


def _translate(search, sentence, options, steps):
    search.search([sentence], options, forced_steps=steps)
    return search.encoder.seconds


def make_weights(path, size):
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
