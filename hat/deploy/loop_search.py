"""Search over the encoder and a graph that loops by itself (see hat.deploy.building.loop_graphs), with onnxruntime."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnxruntime

from hat.deploy.beams import SHRINK_BELOW, Hypothesis
from hat.deploy.search_history import SearchHistory
from hat.deploy.search_inputs import length_limits
from hat.deploy.search_options import SearchOptions
from hat.deploy.source_encoder import SourceEncoder, ort_value


class LoopSearch:
    """Translates token ids with a SourceEncoder and a `beam` or `greedy` session."""

    def __init__(self, encoder: SourceEncoder, session: onnxruntime.InferenceSession, end_of_sentence: int = 2) -> None:
        self._encoder, self._session, self._end = encoder, session, end_of_sentence
        self._outputs = [output.name for output in session.get_outputs()]
        inputs = {value.name: value.shape for value in session.get_inputs()}
        self._caches = {name: shape for name, shape in inputs.items() if name.startswith("self_")}
        self._greedy = "candidate_places" not in self._outputs

    def search(
        self,
        sources: Sequence[Sequence[int]],
        options: SearchOptions,
        forced_steps: int | None = None,
        shortlist: np.ndarray | None = None,
    ) -> list[list[Hypothesis]]:
        """list of Hypothesis, best first, for each source; all sources are one batch.

        A source is a list of ids ending with </s>; `options` are SearchOptions. `forced_steps` makes exactly that many
        steps, never choosing </s>, and returns the unfinished hypotheses: for timing. `shortlist` (tokens,) int64, for
        a session that has one, holds the tokens to choose from, beginning with all those up to </s>.
        """
        limits = length_limits(sources, options, forced_steps, self._encoder)
        history = SearchHistory(limits, options, self._end, may_end=forced_steps is None)
        fixed = {} if shortlist is None else {"shortlist": np.asarray(shortlist, np.int64)}
        memory = self._encoder.encode(sources, options.beam)
        state = self._first_state(len(sources), options.beam)
        while True:
            count = history.unfinished
            outputs = self._run({**fixed, **memory, **state, **_bounds(history)})
            kept = history.add(*self._trace(outputs, options.beam))
            if not history.unfinished:
                return history.hypotheses()
            memory = memory if len(kept) == count else _chosen(memory, kept)
            state = self._next_state(outputs, kept, options.beam)

    def _first_state(self, sentences: int, beam: int) -> dict[str, Any]:
        rows = sentences * beam
        state = {
            name: np.zeros((rows, heads, 0, head_dim), np.float32)
            for name, (_, heads, _, head_dim) in self._caches.items()
        }
        scores = np.full((sentences, beam), -np.inf, np.float32)
        scores[:, 0] = 0.0  # all hypotheses are equal at first, so only one counts
        return {**state, **self._hypotheses(np.full((sentences, beam), self._end), np.arange(rows), scores)}

    def _hypotheses(self, tokens: np.ndarray, rows: np.ndarray, scores: np.ndarray) -> dict[str, np.ndarray]:
        """The part of the state that isn't caches; tokens and scores (sentences, beam)."""
        state = {"tokens": tokens, "rows": rows, "scores": scores.reshape(-1, 1)}
        if not self._greedy:
            beam = tokens.shape[1]
            state["row_candidates"], state["sentence_candidates"] = np.array([2 * beam + 2]), np.array([2 * beam])
        return state

    def _run(self, inputs: Mapping[str, Any]) -> dict[str, onnxruntime.OrtValue]:
        """{name: OrtValue} of the outputs; `inputs` are arrays and OrtValues."""
        arrays = {name: value for name, value in inputs.items() if isinstance(value, np.ndarray)}
        inputs = {**inputs, **{name: ort_value(array) for name, array in arrays.items()}}
        return dict(zip(self._outputs, self._session.run_with_ort_values(self._outputs, inputs)))

    def _trace(
        self, outputs: Mapping[str, onnxruntime.OrtValue], beam: int
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """What SearchHistory.add wants of the steps of a run."""
        scores, tokens = outputs["candidate_scores"].numpy(), outputs["candidate_tokens"].numpy()
        ends = outputs["end_scores"].numpy().reshape(*scores.shape[:2], beam)
        if self._greedy:
            return scores, tokens, np.zeros_like(tokens), ends
        return scores, tokens, outputs["candidate_places"].numpy() // (2 * beam + 2), ends

    def _next_state(self, outputs: Mapping[str, onnxruntime.OrtValue], kept: np.ndarray, beam: int) -> dict[str, Any]:
        """The state that the sentences `kept` (indices) go on from; the caches follow through `rows`."""
        tokens, scores = (outputs[f"final_{name}"].numpy().reshape(-1, beam)[kept] for name in ("tokens", "scores"))
        rows = kept if self._greedy else outputs["final_rows"].numpy().reshape(-1, beam)[kept].ravel()
        caches = {name: outputs[f"final_{name}"] for name in self._caches}
        return {**caches, **self._hypotheses(tokens, rows, scores)}


def _bounds(history: SearchHistory) -> dict[str, np.ndarray]:
    """How far the next run goes."""
    count = history.unfinished
    wanted = min(int(SHRINK_BELOW * count), count - 1) if history.may_end else -1
    return {
        "first_step": np.array(history.step),
        "most_steps": np.array(history.steps_left),
        "wanted": np.array(wanted, np.float32),
        "missing": history.missing,
    }


def _chosen(memory: Mapping[str, Any], kept: np.ndarray) -> dict[str, np.ndarray]:
    """The encoder's outputs (arrays or OrtValues) of the sentences `kept` alone."""
    arrays = {name: value if isinstance(value, np.ndarray) else value.numpy() for name, value in memory.items()}
    return {name: array[kept] for name, array in arrays.items()}
