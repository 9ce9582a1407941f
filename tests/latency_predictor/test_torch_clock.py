"""A GPU works on after it was called: what is timed ends when it has finished, and begins when it has nothing to do."""

import types

import pytest
import torch
from classifiers import classifier_spec
from tiny import ENCODER_SPACE, TINY_SPACE, tiny_spec

from hat.errors import DeviceError
from hat.models.translation import Transformer
from hat.tasks import TASKS
from latency_predictor.link.devices import Device
from latency_predictor.sampling import torch_backend
from latency_predictor.sampling.torch_backend import TorchBench, TorchTranslation, cuda_clock

ENCODER_S, STEP_S = 2.0, 1.0
STEPS = 3
HOST_S = 0.002  # between two readings of the clock, of a GPU with nothing to do
GPU = Device("gpu", "torch", accelerator="cuda")


class FakeGpu:
    """Calls return at once; what was begun takes its time, which passes only for who waits for it."""

    def __init__(self):
        self.now, self._begun = 0.0, 0.0

    def clock(self):
        self.now += HOST_S
        return self.now

    def begin(self, seconds):
        self._begun += seconds

    def synchronize(self):
        self.now, self._begun = self.now + self._begun, 0.0

    def move(self, model, _accelerator):
        """In place of model.to("cuda"): its encoder and its decoder's steps now take this GPU's time."""
        model.encoder.register_forward_hook(lambda *_: self.begin(ENCODER_S))
        model.decoder.register_forward_hook(lambda *_: self.begin(STEP_S))
        return model


@pytest.fixture
def gpu(monkeypatch):
    gpu = FakeGpu()
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "a fake GPU")
    monkeypatch.setattr(torch.cuda, "synchronize", gpu.synchronize)
    monkeypatch.setattr(Transformer, "to", lambda model, accelerator: gpu.move(model, accelerator))
    clocks = {"perf_counter": gpu.clock, "monotonic": lambda: 0.0, "sleep": lambda seconds: None}
    monkeypatch.setattr(torch_backend, "time", types.SimpleNamespace(**clocks))
    return gpu


def test_a_sample_waits_for_the_gpu(gpu):
    config = types.SimpleNamespace(beam=2, repeats=6)
    reference = TINY_SPACE.smallest(), tiny_spec()
    bench = TorchBench(GPU, TASKS["translation"], config, [(4, STEPS)], reference)
    found = bench.time(TINY_SPACE.largest(), tiny_spec())
    (at,) = found["lengths"]
    expected = (ENCODER_S, STEPS * STEP_S, ENCODER_S + STEPS * STEP_S)
    for timing, seconds in zip((*at["phases_ms"].values(), at["total_ms"]), expected, strict=True):
        found_ms = [timing[name] for name in ("p10", "p90")]
        assert found_ms == pytest.approx([1e3 * seconds] * 2, rel=0.01)
    assert found["environment"]["gpu"] == "a fake GPU"


def test_what_the_gpu_was_given_before_is_not_counted(gpu):
    model = gpu.move(Transformer(TINY_SPACE.smallest(), tiny_spec()).eval(), "cuda")
    translation = TorchTranslation(model, [5, 9, 2], beam=2, target_steps=STEPS, clock=cuda_clock)
    gpu.begin(50.0)
    start = cuda_clock()
    with torch.no_grad():
        assert translation() == (pytest.approx(ENCODER_S, rel=0.01),)
    assert cuda_clock() - start == pytest.approx(ENCODER_S + STEPS * STEP_S, rel=0.01)


def test_a_network_without_a_decoder_is_refused(gpu):
    reference = ENCODER_SPACE.smallest(), classifier_spec()
    with pytest.raises(DeviceError, match="times translators alone; give device gpu backend: onnxruntime"):
        TorchBench(GPU, TASKS["classification"], types.SimpleNamespace(), [(4,)], reference)
