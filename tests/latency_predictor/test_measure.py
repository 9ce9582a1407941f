"""Measuring times what is deployed: the same graphs and search, exactly so many steps, on either backend."""

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from latency_runs import SETTINGS, made_up_sample, make_run
from search_toys import SPACE
from tiny import TINY_SPACE, tiny_spec

from hat.deploy.beam_search import BeamSearch, needed_graphs
from hat.deploy.building.graphs import build_graphs, graph_names
from hat.deploy.search_options import SearchOptions
from hat.deploy.sessions import CUDA, Sessions
from hat.errors import ArtifactError, DeviceError
from hat.files import append_json_line
from hat.models.translation import Transformer
from latency_predictor.link.devices import Device, load_device
from latency_predictor.sampling.collect import collect
from latency_predictor.sampling.lengths import run_lengths
from latency_predictor.sampling.measure import Measurer, measuring_spec, protocol_of, reference_architecture
from latency_predictor.sampling.sample import samples_path
from latency_predictor.sampling.torch_backend import TorchTranslation

SOURCE = [5, 9, 7, 2]
FAKE_CUDA = Path(__file__).parent.parent / "fake_cuda"


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


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return make_run(tmp_path)


@pytest.mark.parametrize(
    "device",
    [Device("here", "onnxruntime"), Device("here", "onnxruntime", precision="int8"), Device("here", "torch")],
    ids=["fp32", "int8", "torch"],
)
def test_a_sample_says_what_was_timed(run, device):
    with Measurer(run, device) as measurer:
        sample = measurer.measure(SPACE.smallest())
    assert sample.architecture == SPACE.smallest()
    assert (sample.device, sample.protocol.backend, sample.protocol.threads) == ("here", device.backend, 1)
    assert sample.protocol.lengths == {"encode": (4,), "decode": (3,)}
    words = SETTINGS["vocabulary_size"]
    assert sample.protocol.workload == {"beam": 2, "source_vocabulary": words, "target_vocabulary": words}
    assert sample.protocol.clock == "processor"
    at = sample.lengths[0]
    assert at.lengths == {"encode": 4, "decode": 3}
    assert at.total_ms.count >= SETTINGS["repeats"]
    assert list(at.phases_ms) == ["encode", "decode"]
    for phase in at.phases_ms.values():
        assert 0 < phase.p25 < at.total_ms.p25
    assert at.total_ms.ci_low <= at.total_ms.p25 <= at.total_ms.ci_high
    assert sample.reference_ms.p25 > 0
    assert sample.environment.cpu
    assert sample.environment.time.startswith("20")


def test_a_smaller_vocabulary_is_faster(tmp_path):
    """The output layer's share of the time is found by leaving it all but out."""
    run = make_run(tmp_path, vocabulary_size=20_000)
    few_words = run.task.with_few_words(measuring_spec(run), 64)
    with Measurer(run, Device("here", "onnxruntime")) as measurer:
        whole, fewer = (measurer.measure(SPACE.smallest(), spec) for spec in (None, few_words))
    pace = whole.reference_ms.p25 / fewer.reference_ms.p25
    assert whole.lengths[0].phases_ms["decode"].p25 > 1.5 * pace * fewer.lengths[0].phases_ms["decode"].p25


def test_it_is_told_at_the_pace_of_the_samples_there_are(run, monkeypatch):
    """The samples were taken when the reference took twice as long, so everything is said to take twice as long."""
    device = load_device("cpu")
    with Measurer(run, device) as measurer:
        sample = measurer.measure(SPACE.smallest())
        path = samples_path(run, device)
        assert not path.exists()
        slow = replace(sample, reference_ms=sample.reference_ms.scaled(2.0))
        for seed in range(3):
            row = replace(slow, architecture=SPACE.sample(np.random.default_rng(seed)))
            append_json_line(path, row.to_dict())
        monkeypatch.setattr(measurer, "measure", lambda architecture, spec: sample)
        again = measurer.measure_paced(SPACE.smallest())
    assert again.timing(measurer.lengths).p25 == pytest.approx(2.0 * sample.timing(measurer.lengths).p25)


def test_the_reference_runs_at_one_precision_beside_all(run):
    """So its time is the same beside int8 as beside fp32, the machine's noise apart."""
    graphs = {}

    class Connection:
        ready = {"warnings": []}

        def __init__(self, device, setup):
            graphs[device.precision] = setup["reference"]["graphs"]

        def ask(self, request):
            graphs["subject"] = request["subject"]["graphs"]
            return {"type": "measured"}

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("latency_predictor.link.connection.Connection", Connection)
        for precision in ("fp32", "int8"):
            bench = Measurer(run, Device("here", "onnxruntime", precision=precision))._make_bench()
            bench.time(reference_architecture(SPACE), measuring_spec(run))
    assert graphs["fp32"] == graphs["int8"] != graphs["subject"]


def test_int8_samples_beside_another_reference_are_refused(run):
    """Those of an earlier version, whose reference ran in int8 too."""
    device = load_device("cpu.int8")
    fp32_reference = protocol_of(run, load_device("cpu"), measuring_spec(run), run_lengths(run)).reference
    old = made_up_sample(run, SPACE.smallest(), 12.0, device.name, reference=fp32_reference)
    append_json_line(samples_path(run, device), old.to_dict())
    with pytest.raises(ArtifactError, match=rf"measured with reference {fp32_reference} instead of .*\.fp32; move"):
        collect(run, "cpu.int8")


class Unsteady:
    """A bench whose first samples are not stable."""

    def __init__(self, run, half_widths):
        self.half_widths, self._row = list(half_widths), made_up_sample(run, SPACE.smallest(), 10.0).to_dict()

    def time(self, architecture, spec):
        half_width = self.half_widths.pop(0)
        row = {name: self._row[name] for name in ("lengths", "reference_ms", "taken", "environment")}
        total = {**row["lengths"][0]["total_ms"], "ci_low": 10 - half_width, "ci_high": 10 + half_width}
        return {**row, "lengths": [{**row["lengths"][0], "total_ms": total}], "stable": half_width < 1}

    def close(self):
        pass


@pytest.mark.parametrize(
    ("half_widths", "kept", "stable"),
    [((0.1, 9, 9), 0.1, True), ((3.0, 0.5, 9), 0.5, True), ((3.0, 4.0, 0.1), 3.0, False)],
)
def test_an_unstable_sample_is_taken_again_once_and_marked(run, monkeypatch, half_widths, kept, stable):
    bench = Unsteady(run, half_widths)
    with Measurer(run, load_device("cpu")) as measurer:
        monkeypatch.setattr(measurer, "_make_bench", lambda: bench)
        sample = measurer.measure(SPACE.smallest())
    assert sample.stable == stable
    assert sample.lengths[0].total_ms.ci_high == 10 + kept


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
        (encoder_seconds,) = translation()
    assert encoder_seconds > 0
    assert translation.tokens[:, 1:].tolist() == [hypothesis.tokens for hypothesis in expected]
    np.testing.assert_allclose(translation.scores, [hypothesis.score for hypothesis in expected], rtol=1e-4)


def test_measuring_with_torch_leaves_its_state_alone(run):
    torch.manual_seed(5)
    before, threads = torch.random.get_rng_state(), torch.get_num_threads()
    with Measurer(run, Device("here", "torch", threads=threads + 1)) as measurer:
        measurer.measure(SPACE.smallest())
    assert torch.equal(torch.random.get_rng_state(), before)
    assert torch.get_num_threads() == threads


def test_cool_down_comes_before_a_sample_with_torch(run, monkeypatch):
    slept = []
    monkeypatch.setattr("latency_predictor.sampling.torch_backend.time.sleep", slept.append)
    with Measurer(run, Device("here", "torch", cool_down_s=0.4)) as measurer:
        measurer.measure(SPACE.smallest())
    assert set(slept) == {0.4}


def test_a_sample_that_takes_too_long_with_torch_is_an_error(run):
    device = Device("here", "torch", sample_timeout_s=1e-3)
    with (
        Measurer(run, device) as measurer,
        pytest.raises(DeviceError, match=r"'here': a sample took longer than sample_timeout_s: 0\.001; see what else"),
    ):
        measurer.measure(SPACE.smallest())


EAGER_GPU = Device("here", "torch", accelerator="cuda")


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_no_gpu(run):
    with Measurer(run, EAGER_GPU) as measurer, pytest.raises(DeviceError, match="PyTorch finds no CUDA GPU"):
        measurer.measure(SPACE.smallest())


@pytest.mark.skipif(CUDA in onnxruntime.get_available_providers(), reason="onnxruntime has CUDA here")
def test_onnxruntime_without_cuda(run):
    with Measurer(run, load_device("gpu")) as measurer, pytest.raises(DeviceError, match="'gpu': .*onnxruntime-gpu"):
        measurer.measure(SPACE.smallest())


def test_a_gpu_is_timed_by_the_wall_with_the_graphs_that_are_deployed(run, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", f"{FAKE_CUDA}:{os.environ.get('PYTHONPATH', '')}")
    with Measurer(run, load_device("gpu")) as measurer:
        sample = measurer.measure(SPACE.smallest())
    assert (sample.protocol.backend, sample.protocol.accelerator) == ("onnxruntime", "cuda")
    assert sample.protocol.clock == "wall"


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")
@pytest.mark.parametrize("device", [EAGER_GPU, load_device("gpu")], ids=["torch", "onnxruntime"])
def test_a_gpu_is_measured(run, device):
    with Measurer(run, device) as measurer:
        sample = measurer.measure(SPACE.smallest())
    assert sample.protocol.accelerator == "cuda"
    assert sample.environment.gpu
