"""Timing with PyTorch, for CUDA: hat.models.translation.Transformer with caches, in evaluation mode, no autograd."""

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import torch

from hat.architecture.stacks import Architecture
from hat.errors import DeviceError
from hat.experiment.translation import TranslationLatency
from hat.models.translation import EncoderOutput, Transformer
from hat.models.translation_spec import ModelSpec
from hat.tasks.task import Task
from latency_predictor.link.devices import Device
from latency_predictor.on_device.environment import read_environment
from latency_predictor.on_device.timing import clock_for, time_rounds

SEED = 1  # of the weights and sentences, whose values don't matter
FIRST_WORD = 4  # token ids below are special symbols


def gpu_name() -> str:
    """Model of the CUDA GPU that is measured; raises DeviceError if PyTorch finds none."""
    if not torch.cuda.is_available():
        raise DeviceError("PyTorch finds no CUDA GPU here; run this on a machine with one and a CUDA build of PyTorch")
    return torch.cuda.get_device_name()


def cuda_clock() -> float:
    """Seconds of the wall's clock, once the GPU has finished all that it was given before."""
    torch.cuda.synchronize()
    return time.perf_counter()


class TorchBench:
    """Times Transformers in this process; the arguments are those of latency_predictor.sampling.measure.AgentBench."""

    def __init__(
        self,
        device: Device,
        task: Task,
        latency_config: TranslationLatency,
        points: Sequence[Sequence[int]],
        reference: tuple[Architecture, ModelSpec],
    ) -> None:
        if not isinstance(reference[1], ModelSpec):
            raise DeviceError(f"backend torch times translators alone; give device {device.name} backend: onnxruntime")
        self._device, self._config, self._phases, self._points = device, latency_config, list(task.phases), points
        self._source_vocabulary = reference[1].source_vocabulary
        self._gpu = gpu_name() if device.accelerator == "cuda" else None
        self._clock = cuda_clock if self._gpu else clock_for(device.threads)
        with _threads(device.threads):
            self._reference = self._translations(*reference, [points[len(points) // 2]])[0]

    def time(self, architecture: Architecture, spec: ModelSpec) -> dict[str, Any]:
        """The lengths, reference_ms, stable, taken and environment of a LatencySample, as a dictionary.

        Raises DeviceError, after the run in hand, once that takes longer than the device's `sample_timeout_s`.
        """
        time.sleep(self._device.cool_down_s)
        deadline = time.monotonic() + self._device.sample_timeout_s
        with _threads(self._device.threads), torch.no_grad():
            translations = self._translations(architecture, spec, self._points)
            ending = [self._ending(deadline, translate) for translate in translations]
            found = time_rounds(ending, self._reference, self._config.repeats, self._clock)
        return {**found.to_dict(self._phases, self._points), "environment": asdict(read_environment(self._gpu))}

    def close(self) -> None:
        """Nothing is held."""

    def _ending(self, deadline: float, translate: "TorchTranslation") -> Callable[[], tuple[float]]:
        """`translate`, which raises DeviceError from the deadline on, a time of time.monotonic()."""

        def run() -> tuple[float]:
            if time.monotonic() > deadline:
                limit = f"sample_timeout_s: {self._device.sample_timeout_s:g}"
                remedy = "see what else runs here, or raise it in its file"
                raise DeviceError(f"device {self._device.name!r}: a sample took longer than {limit}; {remedy}")
            return translate()

        return run

    def _translations(
        self, architecture: Architecture, spec: ModelSpec, points: Sequence[Sequence[int]]
    ) -> list["TorchTranslation"]:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(SEED)
            model = Transformer(architecture, spec).eval().to(self._device.accelerator)
        return [
            TorchTranslation(model, self._sentence(length, spec), self._config.beam, steps, self._clock)
            for length, steps in points
        ]

    def _sentence(self, length: int, spec: ModelSpec) -> list[int]:
        words = np.random.default_rng(SEED).integers(FIRST_WORD, self._source_vocabulary, size=length - 1)
        return [*words.tolist(), spec.end_of_sentence]


@contextlib.contextmanager
def _threads(count: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


class TorchTranslation:
    """Calling it translates once: the encoder, then `target_steps` steps of `beam` hypotheses that never end.

    After a call `tokens` (beam, target_steps + 1) are the hypotheses, best first, each led by the </s> it starts
    with, and `scores` (beam,) their log-probabilities.
    """

    def __init__(
        self,
        model: Transformer,
        source: Sequence[int],
        beam: int,
        target_steps: int,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._model, self._beam, self._target_steps, self._clock = model, beam, target_steps, clock
        self._device = next(model.parameters()).device
        self._source = torch.tensor([source], device=self._device)

    def __call__(self) -> tuple[float]:
        """Returns (seconds that the encoder took,), by a clock that waits for the GPU where there is one."""
        start = self._clock()
        memory = self._model.encoder(self._source)
        encoder_seconds = self._clock() - start
        self._decode(memory.select(torch.zeros(self._beam, dtype=torch.long, device=self._device)))
        return (encoder_seconds,)

    def _decode(self, memory: EncoderOutput) -> None:
        spec, beam, decoder = self._model.spec, self._beam, self._model.decoder
        cache = decoder.new_cache()
        self.tokens = torch.full((beam, 1), spec.end_of_sentence, device=self._device)
        self.scores = torch.full((beam, 1), -torch.inf, device=self._device)
        self.scores[0] = 0.0  # all hypotheses are equal at first, so only one counts
        for _ in range(self._target_steps):
            log_probabilities = decoder(self.tokens[:, -1:], memory, cache)[:, -1].log_softmax(dim=-1)
            log_probabilities[:, [spec.padding, spec.end_of_sentence]] = -torch.inf
            best = (self.scores + log_probabilities).flatten().topk(beam)
            origins = best.indices // spec.target_vocabulary
            chosen = best.indices % spec.target_vocabulary
            cache.reorder(origins)
            self.tokens = torch.cat([self.tokens[origins], chosen[:, None]], dim=1)
            self.scores = best.values[:, None]
        self.scores = self.scores[:, 0]
