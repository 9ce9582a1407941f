"""Calibration of a language model's static int8: its fp32 graph shows the inputs of its products."""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from hat.architecture.stacks import Architecture
from hat.deploy.building.language_model_graph import STEP, build_language_model_graphs
from hat.deploy.sessions import make_session
from hat.deploy.word_steps import empty_memory
from hat.export.ranges import best_ranges
from hat.export.shown_products import INPUT, ShownProducts

if TYPE_CHECKING:
    from hat.models.language_model_spec import LanguageModelSpec

PARTS = 20  # of the training text, evenly spread
PART_WORDS = 200


def calibrate_language_model(
    architecture: Architecture,
    spec: "LanguageModelSpec",
    weights: Mapping[str, np.ndarray],
    parts: Sequence[Sequence[int]],
) -> dict[str, tuple[float, float]]:
    """{product name: (low, high)} for `build_language_model_graphs`.

    The model reads each of `parts` (numbers of words) by itself. Raises as `best_ranges` does.
    """
    graph = build_language_model_graphs(architecture, spec, weights, products={"fp32": ShownProducts})[STEP]
    session = make_session(graph.SerializeToString(), 1)
    names = [output.name for output in session.get_outputs() if output.name.startswith(INPUT)]
    memory = empty_memory(session)

    def observe(parts: Sequence[Sequence[int]], observer: Callable[[str, np.ndarray], None]) -> None:
        for part in parts:
            found = session.run(names, {"words": np.array([part], np.int64), **memory})
            for name, values in zip(names, found, strict=True):
                observer(name.removeprefix(INPUT), values)

    return best_ranges(parts, observe)


def calibration_parts(stream: np.ndarray) -> list[list[int]]:
    """PARTS parts of a text, given as numbers of its words (words,); fewer words than PART_WORDS in a short one."""
    size = min(PART_WORDS, max(1, len(stream) // PARTS))
    starts = np.linspace(0, len(stream) - size, PARTS).astype(int)
    return [[int(word) for word in stream[start : start + size]] for start in starts]
