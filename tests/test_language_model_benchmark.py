"""The benchmark of language models compares what it says: its peers write what PyTorch's GPT-2 finds likeliest."""

import importlib.util
import sys
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "benchmarks"))  # its modules import each other by name

import language_model_peers
import language_model_speed

SIZES = (2, 32, 48, 2, 6000)
WORDS = 6


@pytest.fixture(scope="module")
def benchmark(tmp_path_factory):
    if importlib.util.find_spec("transformers") is None:
        pytest.skip("transformers is not installed; the benchmark alone needs it")
    return language_model_speed.Benchmark("adaptive", tmp_path_factory.mktemp("benchmark"), WORDS, SIZES)


def test_peers_write_what_gpt2_finds_likeliest(benchmark):
    positions = language_model_speed.PROMPT_WORDS + WORDS
    model = language_model_peers.gpt2(*SIZES, positions, language_model_speed.SEED)
    for prompt in benchmark.prompts(3):
        words = list(prompt)
        for _ in range(WORDS):
            with torch.inference_mode():
                words.append(int(model(torch.tensor([words])).logits[0, -1].argmax()))
        for name, generate in benchmark.contestants.items():
            if "fp32" in name and not name.startswith("HAT"):
                assert generate(prompt) == words[len(prompt) :], name


def test_all_are_timed(benchmark):
    speeds = benchmark.run(count=1, rounds=1)
    assert {"HAT fp32", "HAT int8", "onnxruntime fp32", "onnxruntime int8"} <= set(speeds)
    assert min(speeds.values()) > 0


def test_ratios_are_our_speed_over_theirs():
    speeds = {"HAT fp32": 30, "onnxruntime fp32": 20, "HAT int8": 30, "onnxruntime int8": 40, "CTranslate2 int8": 15}
    found = language_model_speed.ratios({"adaptive": speeds})
    assert found == {
        "adaptive_fp32_onnxruntime": 1.5,
        "adaptive_int8_onnxruntime": 0.75,
        "adaptive_int8_CTranslate2": 2.0,
    }
