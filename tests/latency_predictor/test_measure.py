"""Measuring times what is deployed: the same graphs and search, exactly so many steps, on either backend."""

import subprocess
import sys

import numpy as np
import pytest
import torch
from latency_runs import SETTINGS
from tiny import TINY_SPACE, tiny_spec

from hat.deploy.beam_search import BeamSearch
from hat.deploy.graphs import build_graphs, graph_names
from hat.deploy.search_options import SearchOptions
from hat.deploy.sessions import Sessions
from hat.errors import DeviceError
from hat.experiment import LatencyConfig
from hat.model import Transformer
from latency_predictor.agent import needed_graphs
from latency_predictor.devices import Device, load_device
from latency_predictor.measure import Measurer
from latency_predictor.torch_backend import TorchTranslation

CONFIG = LatencyConfig(**SETTINGS)
SOURCE = [5, 9, 7, 2]


def deployed_search(model):
    """The deployed search with the weights of a torch Transformer."""
    weights = {name: tensor.numpy() for name, tensor in model.state_dict().items()}
    graphs = build_graphs(model.architecture, model.spec, weights)
    return BeamSearch(Sessions({name: graph.SerializeToString() for name, graph in graphs.items()}, threads=1))


def random_transformer():
    torch.manual_seed(3)
    model = Transformer(TINY_SPACE.largest(), tiny_spec()).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))  # away from near-equal scores
    return model


@pytest.mark.parametrize("backend", ["onnxruntime", "torch"])
def test_a_sample_says_what_was_timed(backend):
    device = Device("here", backend)
    sample = Measurer(device, CONFIG, tiny_spec()).measure(TINY_SPACE.smallest(), repeats=3)
    assert sample.architecture == TINY_SPACE.smallest()
    assert (sample.device, sample.protocol.backend, sample.protocol.threads) == ("here", backend, 1)
    assert (sample.protocol.beam, sample.protocol.source_length, sample.protocol.target_steps) == (2, 4, 3)
    assert sample.protocol.source_vocabulary == tiny_spec().source_vocabulary
    assert sample.total_ms.count >= 3
    assert 0 < sample.encoder_ms.median < sample.total_ms.median
    assert 0 < sample.decoder_ms.median < sample.total_ms.median
    assert sample.total_ms.p10 <= sample.total_ms.median <= sample.total_ms.p90
    assert sample.environment.cpu
    assert sample.environment.time.startswith("20")


def test_int8_is_measured_too():
    device = Device("here", "onnxruntime", precision="int8")
    assert Measurer(device, CONFIG, tiny_spec()).measure(TINY_SPACE.smallest(), repeats=1).latency_ms > 0


def test_more_steps_take_longer():
    quick = Measurer(Device("here", "onnxruntime"), LatencyConfig(**SETTINGS | {"target_steps": 2}), tiny_spec())
    slow = Measurer(Device("here", "onnxruntime"), LatencyConfig(**SETTINGS | {"target_steps": 60}), tiny_spec())
    architecture = TINY_SPACE.largest()
    assert slow.measure(architecture).total_ms.p10 > 3 * quick.measure(architecture).total_ms.p10


@pytest.mark.parametrize("beam", [1, 3])
def test_what_is_timed_is_what_a_bundle_runs(beam):
    """The graphs asked for suffice for the search that a translator makes, and its encoder is timed."""
    model = random_transformer()
    weights = {name: tensor.numpy() for name, tensor in model.state_dict().items()}
    graphs = build_graphs(model.architecture, model.spec, weights, names=needed_graphs(graph_names("fp32"), beam))
    search = BeamSearch(Sessions({name: graph.SerializeToString() for name, graph in graphs.items()}, threads=1))
    found = search.search([SOURCE], SearchOptions(beam), forced_steps=6)
    assert all(len(hypothesis.tokens) == 6 for hypothesis in found[0])
    assert search.encoder.seconds > 0
    assert search.search([SOURCE], SearchOptions(beam)) == deployed_search(model).search([SOURCE], SearchOptions(beam))


def test_torch_translates_as_the_deployed_search_does():
    model = random_transformer()
    expected = deployed_search(model).search([SOURCE], SearchOptions(3, lenpen=0.0), forced_steps=6)[0]
    translation = TorchTranslation(model, SOURCE, beam=3, target_steps=6)
    with torch.no_grad():
        encoder_seconds = translation()
    assert encoder_seconds > 0
    assert translation.tokens[:, 1:].tolist() == [hypothesis.tokens for hypothesis in expected]
    np.testing.assert_allclose(translation.scores, [hypothesis.score for hypothesis in expected], rtol=1e-4)


def test_measuring_with_torch_leaves_its_state_alone():
    torch.manual_seed(5)
    before, threads = torch.random.get_rng_state(), torch.get_num_threads()
    device = Device("here", "torch", threads=threads + 1)
    Measurer(device, CONFIG, tiny_spec()).measure(TINY_SPACE.smallest(), repeats=1)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert torch.get_num_threads() == threads


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_no_gpu():
    with pytest.raises(DeviceError, match="PyTorch finds no CUDA GPU"):
        Measurer(load_device("gpu"), CONFIG, tiny_spec())


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")
def test_a_gpu_is_measured():
    sample = Measurer(load_device("gpu"), CONFIG, tiny_spec()).measure(TINY_SPACE.smallest())
    assert sample.protocol.accelerator == "cuda"
    assert sample.environment.gpu


def test_the_agent_imports_nothing_heavy():
    code = (
        "import sys, latency_predictor.agent; "
        "print([name for name in ('torch', 'fairseq', 'yaml', 'onnx', 'sklearn', 'psutil') if name in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
