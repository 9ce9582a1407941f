"""Search over the encoder and step graphs (see hat.deploy.graphs) with onnxruntime, step by step."""

import numpy as np
import onnxruntime

from hat.deploy.beams import Beams

MAX_STEPS = 2000  # the graphs place a little more


class StepSearch:
    """Translates token ids with an encoder and a step session; one search at a time."""

    def __init__(self, encoder_session, step_session, padding=1, end_of_sentence=2):
        self._encoder, self._step = encoder_session, step_session
        self._padding, self._end = padding, end_of_sentence
        self._memory_names = [output.name for output in encoder_session.get_outputs()]
        self._output_names = [output.name for output in step_session.get_outputs()]
        shapes = {value.name: value.shape for value in step_session.get_inputs()}
        self._cache_names = [name[len("next_") :] for name in self._output_names if name.startswith("next_")]
        self._cache_shapes = {name: shapes[name] for name in self._cache_names}  # (rows, heads, steps, head_dim)
        self._vocabulary = int(step_session.get_modelmeta().custom_metadata_map["target_vocabulary"])
        self._binding, self._bound = step_session.io_binding(), {}

    def search(self, sources, options, forced_steps=None):
        """list of Hypothesis, best first, for each source; all sources are one batch.

        A source is a list of ids ending with </s>; `options` are SearchOptions. `forced_steps` makes exactly that many
        steps, never choosing </s>, and returns the unfinished hypotheses: for timing.
        """
        if not sources:
            return []
        beam, lenpen = options.beam, options.lenpen
        if forced_steps is None:
            limits = [options.length_limit(len(source), MAX_STEPS) for source in sources]
        else:
            limits = [forced_steps] * len(sources)
        beams = Beams(limits, beam, lenpen, self._padding, self._end, may_end=forced_steps is None)
        memory = self.encode(sources, beam)
        self._start(memory, rows=len(sources) * beam, candidates=min(2 * beam + 2, self._vocabulary))
        while not beams.finished:
            beams.advance(*self._run_step(beams.last_tokens, beams.step, beams.origins))
            kept = beams.shrink()
            if kept is not None:
                memory = {name: _ort_value(value.numpy()[kept]) for name, value in memory.items()}
                self._bind(memory)
        self._release()
        return beams.hypotheses()

    def log_probabilities(self, sources, targets):
        """Log-probabilities of all tokens after each prefix of the given targets: for comparing models.

        targets (sentences, time) start with </s>; returns (sentences, time, vocabulary).
        """
        targets = np.asarray(targets, np.int64)
        scores = np.empty((*targets.shape, self._vocabulary), np.float32)
        rows = np.arange(len(targets))
        self._start(self.encode(sources, beam=1), rows=len(targets), candidates=self._vocabulary)
        for step in range(targets.shape[1]):
            found, tokens, _ = self._run_step(np.ascontiguousarray(targets[:, step : step + 1]), step, rows)
            np.put_along_axis(scores[:, step], tokens, found, axis=1)
        self._release()
        return scores

    def encode(self, sources, beam):
        """{name: OrtValue} of the encoder's outputs for `beam` hypotheses a sentence; sources are padded here."""
        width = max(len(source) for source in sources)
        tokens = np.full((len(sources), width), self._padding, np.int64)
        for row, source in enumerate(sources):
            tokens[row, : len(source)] = source
        inputs = {"source_tokens": _ort_value(tokens), "beam": _ort_value(np.array([beam]))}
        values = self._encoder.run_with_ort_values(self._memory_names, inputs)
        return dict(zip(self._memory_names, values))

    def _start(self, memory, rows, candidates):
        """Bind what stays the same from step to step, and empty caches."""
        self._bind(memory)
        for name, (_, heads, _, head_dim) in self._cache_shapes.items():
            self._bind({name: _ort_value(np.zeros((rows, heads, 0, head_dim), np.float32))})
        self._bind({"candidates": _ort_value(np.array([candidates]))})

    def _run_step(self, tokens, step, origins):
        """(candidate_scores, candidate_tokens, end_score) of the next step; the caches stay in onnxruntime."""
        self._bind({"tokens": _ort_value(tokens), "reorder": _ort_value(origins), "step": _ort_value(np.array([step]))})
        for name in self._output_names:
            self._binding.bind_output(name, "cpu")
        self._step.run_with_iobinding(self._binding)
        outputs = dict(zip(self._output_names, self._binding.get_outputs()))
        self._bind({name: outputs[f"next_{name}"] for name in self._cache_names})
        return [outputs[name].numpy() for name in ("candidate_scores", "candidate_tokens", "end_score")]

    def _bind(self, values):
        self._bound.update(values)  # a binding itself doesn't keep the arrays alive
        for name, value in values.items():
            self._binding.bind_ortvalue_input(name, value)

    def _release(self):
        """Let go of caches and memory, which can be large."""
        self._binding.clear_binding_inputs()
        self._binding.clear_binding_outputs()
        self._bound.clear()


def _ort_value(array):
    return onnxruntime.OrtValue.ortvalue_from_numpy(array)
