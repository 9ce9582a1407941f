"""Sessions run where they were told to, or say what is missing: never somewhere else without a word."""

import onnxruntime
import pytest

from hat.deploy.building.graph_builder import GraphBuilder
from hat.deploy.sessions import Sessions, make_session
from hat.errors import UsageError

CUDA = "CUDAExecutionProvider"


@pytest.fixture
def model():
    graph = GraphBuilder("nothing")
    graph.input("x", "float32", [1])
    graph.output(graph.node("Identity", ["x"], ["y"]), "float32", [1])
    return graph.model({}).SerializeToString()


def test_without_the_cuda_provider_it_says_what_to_install(model, monkeypatch):
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CPUExecutionProvider"])
    for make in (lambda: make_session(model, 1, "cuda"), lambda: Sessions({"x": model}, 1, "cuda")["x"]):
        with pytest.raises(UsageError, match="without the CUDA provider; install it: .*pip install 'onnxruntime-gpu"):
            make()


def test_a_session_that_fell_back_to_the_processor_is_refused(model, monkeypatch):
    """As onnxruntime does where it finds no GPU, or lacks a library of CUDA."""
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: [CUDA, "CPUExecutionProvider"])
    real, asked = onnxruntime.InferenceSession, []

    def falls_back(model, options, providers, **others):
        asked.append(providers)
        return real(model, options, providers=["CPUExecutionProvider"], **others)

    monkeypatch.setattr(onnxruntime, "preload_dlls", lambda: None, raising=False)
    monkeypatch.setattr(onnxruntime, "InferenceSession", falls_back)
    with pytest.raises(UsageError, match="CUDA provider finds no GPU"):
        make_session(model, 1, "cuda")
    assert asked == [[(CUDA, {"use_tf32": "0"}), "CPUExecutionProvider"]]
    assert make_session(model, 1).get_providers() == ["CPUExecutionProvider"]


def test_an_unknown_accelerator(model):
    with pytest.raises(UsageError, match="'tpu' is not one of cpu, cuda"):
        make_session(model, 1, "tpu")
