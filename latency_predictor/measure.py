"""Measurer: the latency of an architecture on this machine, measured on what would be deployed."""

import numpy as np

from hat.data.prepared import PreparedData
from hat.run_directory import stamp
from latency_predictor.environment import read_environment
from latency_predictor.sample import LatencySample, Protocol

SEED = 1  # of the weights and of the source sentence, whose values don't matter
FIRST_WORD = 4  # token ids below are special symbols


def measuring_spec(run):
    """The ModelSpec to measure with: the prepared data's vocabulary, else the one that the config announces."""
    if stamp(run.data) is not None:
        prepared = PreparedData(run.data)
        return run.config.model_spec(prepared.source_vocabulary, prepared.target_vocabulary)
    size = run.config.latency.vocabulary_size or run.config.data.vocabulary_size
    return run.config.model_spec(size, size)


class Measurer:
    """Times architectures, with random weights, on a Device as a LatencyConfig says; no trained model is needed.

    Raises DeviceError for a device that this process can't measure on.
    """

    def __init__(self, device, latency_config, spec):
        device.require_local()
        self._device, self._config, self._spec = device, latency_config, spec
        self._gpu = None
        if device.accelerator == "cuda":
            from latency_predictor.torch_backend import gpu_name

            self._gpu = gpu_name()
        self.protocol = protocol_of(device, latency_config, spec)
        words = np.random.default_rng(SEED).integers(
            FIRST_WORD, spec.source_vocabulary, size=latency_config.source_length - 1
        )
        self._source = [*words.tolist(), spec.end_of_sentence]

    def measure(self, architecture, repeats=None):
        """The LatencySample of an Architecture; `repeats` translations instead of the config's number."""
        time_it = {"onnxruntime": self._time_graphs, "torch": self._time_transformer}[self._device.backend]
        timings = time_it(architecture, repeats or self._config.repeats)
        return LatencySample(
            architecture=architecture,
            device=self._device.name,
            protocol=self.protocol,
            encoder_ms=timings["encoder"],
            decoder_ms=timings["decoder"],
            total_ms=timings["total"],
            environment=read_environment(self._gpu),
        )

    def _time_graphs(self, architecture, repeats):
        from hat.deploy.graphs import build_graphs, graph_names, random_weights
        from latency_predictor.agent import needed_graphs, time_graphs

        weights = random_weights(architecture, self._spec, SEED)
        names = needed_graphs(graph_names(self._device.precision), self._config.beam)
        graphs = build_graphs(architecture, self._spec, weights, self._device.precision, names=names)
        graphs = {name: graph.SerializeToString() for name, graph in graphs.items()}
        config = self._config
        return time_graphs(graphs, self._source, config.beam, config.target_steps, self._device.threads, repeats)

    def _time_transformer(self, architecture, repeats):
        from latency_predictor.torch_backend import time_transformer

        config, device = self._config, self._device
        return time_transformer(
            architecture,
            self._spec,
            self._source,
            config.beam,
            config.target_steps,
            device.accelerator,
            device.threads,
            repeats,
        )


def protocol_of(device, latency_config, spec):
    """The Protocol of samples that are taken on `device` with these settings."""
    return Protocol(
        backend=device.backend,
        accelerator=device.accelerator,
        precision=device.precision,
        threads=device.threads,
        batch=1,
        beam=latency_config.beam,
        source_length=latency_config.source_length,
        target_steps=latency_config.target_steps,
        source_vocabulary=spec.source_vocabulary,
        target_vocabulary=spec.target_vocabulary,
    )
