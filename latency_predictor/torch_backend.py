"""Timing with PyTorch, for CUDA: hat.model.Transformer with caches, in evaluation mode, without autograd."""

import contextlib
import time

import torch

from hat.errors import DeviceError
from hat.model import Transformer
from latency_predictor.timing import time_translation

SEED = 1  # of the weights, whose values don't matter


def gpu_name():
    """Model of the CUDA GPU that is measured; raises DeviceError if PyTorch finds none."""
    if not torch.cuda.is_available():
        raise DeviceError(
            "PyTorch finds no CUDA GPU here; run this on a machine with one and a CUDA build of PyTorch, "
            "or use --device cpu"
        )
    return torch.cuda.get_device_name()


def time_transformer(architecture, spec, source, beam, target_steps, accelerator, threads, repeats):
    """Timings {"encoder", "decoder", "total"} of translating `source`, a list of token ids, as a batch of one."""
    with _threads(threads), torch.no_grad():
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(SEED)
            model = Transformer(architecture, spec)
        translation = TorchTranslation(model.eval().to(accelerator), source, beam, target_steps)
        return time_translation(translation, repeats)


@contextlib.contextmanager
def _threads(count):
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

    def __init__(self, model, source, beam, target_steps):
        self._model, self._beam, self._target_steps = model, beam, target_steps
        self._device = next(model.parameters()).device
        self._source = torch.tensor([source], device=self._device)

    def __call__(self):
        """Returns the seconds that the encoder took; the GPU has finished everything by then."""
        start = time.perf_counter()
        memory = self._model.encoder(self._source)
        self._synchronize()
        encoder_seconds = time.perf_counter() - start
        self._decode(memory.select(torch.zeros(self._beam, dtype=torch.long, device=self._device)))
        self._synchronize()
        return encoder_seconds

    def _decode(self, memory):
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

    def _synchronize(self):
        if self._device.type == "cuda":
            torch.cuda.synchronize()
