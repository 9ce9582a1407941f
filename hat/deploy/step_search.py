"""Search over the encoder and step graphs (see hat.deploy.building.graphs) with onnxruntime, step by step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import onnxruntime

from hat.deploy.beams import Beams, Hypothesis
from hat.deploy.search_inputs import check_prefixes, length_limits
from hat.deploy.search_options import SearchOptions
from hat.deploy.source_encoder import SourceEncoder, ort_value
from hat.errors import UsageError

UNKNOWN = 3  # fairseq's unknown token


class StepSearch:
    """Translates token ids with a SourceEncoder and a `step` session; one search at a time."""

    def __init__(
        self,
        encoder: SourceEncoder,
        step_session: onnxruntime.InferenceSession,
        padding: int = 1,
        end_of_sentence: int = 2,
    ) -> None:
        self._encoder = encoder
        self._step = step_session
        self._padding, self._end = padding, end_of_sentence
        self._output_names = [output.name for output in step_session.get_outputs()]
        shapes = {value.name: value.shape for value in step_session.get_inputs()}
        self._cache_names = [name[len("next_") :] for name in self._output_names if name.startswith("next_")]
        self._cache_shapes = {name: shapes[name] for name in self._cache_names}  # (rows, heads, steps, head_dim)
        self._vocabulary = encoder.target_vocabulary
        self._binding = step_session.io_binding()
        self._bound: dict[str, onnxruntime.OrtValue] = {}

    def search(
        self,
        sources: Sequence[Sequence[int]],
        options: SearchOptions,
        prefixes: Sequence[Sequence[int]] | None = None,
        forced_steps: int | None = None,
    ) -> list[list[Hypothesis]]:
        """list of Hypothesis, best first, for each source; all sources are one batch.

        A source is a list of ids ending with </s>; `options` are SearchOptions; `prefixes` holds for each source the
        ids that its hypotheses must begin with, after which they go on freely (they end at a </s> among them).
        `forced_steps` makes exactly that many steps, never choosing </s>, and returns the unfinished hypotheses: for
        timing. Raises UsageError for sources, prefixes or a beam that can't be.
        """
        if not sources:
            return []
        beams = self._beams(sources, options, prefixes, forced_steps)
        memory = self._encoder.encode(sources, options.beam)
        self._start(memory, rows=len(sources) * options.beam)
        while not beams.finished:
            beams.advance(
                *self._run_step(beams.last_tokens, beams.step, beams.origins, beams.candidates, beams.wanted_tokens)
            )
            kept = beams.shrink()
            if kept is not None:
                memory = {name: ort_value(value.numpy()[kept]) for name, value in memory.items()}
                self._bind(memory)
        self._release()
        return beams.hypotheses()

    def _beams(
        self,
        sources: Sequence[Sequence[int]],
        options: SearchOptions,
        prefixes: Sequence[Sequence[int]] | None,
        forced_steps: int | None,
    ) -> Beams:
        """The Beams of a search, once its arguments are checked."""
        limits = length_limits(sources, options, forced_steps, self._encoder)
        if prefixes is not None and forced_steps is not None:
            raise UsageError("forced_steps are for timing, without prefixes; leave one of them out")
        if prefixes is not None:
            check_prefixes(prefixes, limits, options, self._vocabulary, self._padding, self._end)
        may_end = forced_steps is None
        return Beams(limits, options, self._padding, self._end, UNKNOWN, prefixes, may_end)

    def log_probabilities(
        self, sources: Sequence[Sequence[int]], targets: Sequence[Sequence[int]] | np.ndarray
    ) -> np.ndarray:
        """Log-probabilities of all tokens after each prefix of the given targets: for comparing models.

        targets (sentences, time) start with </s>; returns (sentences, time, vocabulary).
        """
        targets = np.asarray(targets, np.int64)
        scores = np.empty((*targets.shape, self._vocabulary), np.float32)
        rows = np.arange(len(targets))
        self._start(self._encoder.encode(sources, beam=1), rows=len(targets))
        for step in range(targets.shape[1]):
            last = np.ascontiguousarray(targets[:, step : step + 1])
            found, tokens, _ = self._run_step(last, step, rows, self._vocabulary, wanted_tokens=last)
            np.put_along_axis(scores[:, step], tokens, found, axis=1)
        self._release()
        return scores

    def _start(self, memory: Mapping[str, onnxruntime.OrtValue], rows: int) -> None:
        """Bind what stays the same from step to step, and empty caches."""
        self._bind(memory)
        for name, (_, heads, _, head_dim) in self._cache_shapes.items():
            self._bind({name: ort_value(np.zeros((rows, heads, 0, head_dim), np.float32))})

    def _run_step(
        self, tokens: np.ndarray, step: int, origins: np.ndarray, candidates: int, wanted_tokens: np.ndarray
    ) -> list[np.ndarray]:
        """[candidate_scores, candidate_tokens, wanted_scores] of the next step; the caches stay in onnxruntime."""
        inputs = {
            "tokens": tokens,
            "step": np.array([step]),
            "reorder": origins,
            "candidates": np.array([min(candidates, self._vocabulary)]),
            "wanted_tokens": wanted_tokens,
        }
        self._bind({name: ort_value(array) for name, array in inputs.items()})
        for name in self._output_names:
            self._binding.bind_output(name, "cpu")
        self._step.run_with_iobinding(self._binding)
        outputs = dict(zip(self._output_names, self._binding.get_outputs()))
        self._bind({name: outputs[f"next_{name}"] for name in self._cache_names})
        return [outputs[name].numpy() for name in ("candidate_scores", "candidate_tokens", "wanted_scores")]

    def _bind(self, values: Mapping[str, onnxruntime.OrtValue]) -> None:
        self._bound.update(values)  # a binding itself doesn't keep the arrays alive
        for name, value in values.items():
            self._binding.bind_ortvalue_input(name, value)

    def _release(self) -> None:
        """Let go of caches and memory, which can be large."""
        self._binding.clear_binding_inputs()
        self._binding.clear_binding_outputs()
        self._bound.clear()
