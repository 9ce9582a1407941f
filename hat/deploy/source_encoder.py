"""The encoder's part of a translation."""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np
import onnxruntime


class SourceEncoder:
    """Runs the encoder session; `seconds` is what the last run took by `clock`."""

    def __init__(self, session: onnxruntime.InferenceSession, padding: int = 1) -> None:
        self._session, self._padding = session, padding
        self._names = [output.name for output in session.get_outputs()]
        metadata = session.get_modelmeta().custom_metadata_map
        self.source_vocabulary = int(metadata["source_vocabulary"])
        self.target_vocabulary = int(metadata["target_vocabulary"])
        self.clock = time.perf_counter
        self.seconds = 0.0

    def encode(self, sources: Sequence[Sequence[int]], beam: int) -> dict[str, onnxruntime.OrtValue]:
        """{name: OrtValue} of the encoder's outputs for `beam` hypotheses a sentence; sources are padded here."""
        start = self.clock()
        width = max(len(source) for source in sources)
        tokens = np.full((len(sources), width), self._padding, np.int64)
        for row, source in enumerate(sources):
            tokens[row, : len(source)] = source
        inputs = {"source_tokens": ort_value(tokens), "beam": ort_value(np.array([beam]))}
        values = self._session.run_with_ort_values(self._names, inputs)
        self.seconds = self.clock() - start
        return dict(zip(self._names, values))


def ort_value(array: np.ndarray) -> onnxruntime.OrtValue:
    """An onnxruntime value that shares the memory of `array`, which must be kept alive with it."""
    return onnxruntime.OrtValue.ortvalue_from_numpy(array)
