"""A language model's bundles of fewer bits beside PyTorch's network, and the one file that runs them without HAT."""

import subprocess
import sys

import numpy as np
import pytest
import torch
from deployed import blocking_imports
from test_language_model_bundle import write
from test_standalone import RUNNER
from tiny_language_models import ADAPTIVE, BINS_SPACE, LANGUAGE_SPACE, some_words, super_language_model

import hat
from hat.deploy.building.quantisation import quantise_rows
from hat.deploy.building.standalone import RUNTIMES, add_runtime
from hat.deploy.bundle import open_bundle
from hat.export.language_modeling.calibration import calibrate_language_model, calibration_parts

LINES = ["w5 w9 w40", "w6", "w7 never seen w12"]
# How far log-probabilities may be from PyTorch's on average; the weights are drawn, which is harder than trained ones.
TOLERANCES = {"int8": 0.1, "fp16": 0.002, "bf16": 0.02, "int4": 0.5, "kmeans4": 0.5}


@pytest.fixture(scope="module")
def network():
    return super_language_model(**ADAPTIVE).extract(LANGUAGE_SPACE.largest())


def calibrated(network):
    weights = {name: tensor.numpy() for name, tensor in network.state_dict().items()}
    text = some_words(1, 2000, seed=9)[0].numpy()
    return calibrate_language_model(network.architecture, network.spec, weights, calibration_parts(text))


def by_pytorch(network, words):
    """Log-probabilities (time, vocabulary) after words (1, time)."""
    with torch.no_grad():
        return network.output.log_probabilities(network(words)[0])[0].numpy()


@pytest.fixture(scope="module")
def bundles(network, tmp_path_factory):
    """{precision: bundle}, with the one-file runtime in each."""
    folder, ranges = tmp_path_factory.mktemp("bundles"), calibrated(network)
    made = {name: write(folder / name, network, precision=name, ranges=ranges) for name in ("fp32", *TOLERANCES)}
    for bundle in made.values():
        add_runtime(bundle)
    return made


@pytest.mark.parametrize("precision", TOLERANCES)
def test_log_probabilities_are_near_pytorch_s_and_exact(network, bundles, precision):
    words = some_words(1, 40)
    model, expected = hat.LanguageModel(bundles[precision]), by_pytorch(network, words)
    found, memory = model.step(words[0, :30].tolist())
    more = []
    for word in words[0, 30:].tolist():
        each, memory = model.step([word], memory)
        more.append(each)
    found = np.concatenate([found, *more])
    np.testing.assert_allclose(np.exp(found.astype(np.float64)).sum(axis=1), 1, atol=1e-5)
    assert 0 < np.abs(found - expected).mean() < TOLERANCES[precision]


def test_int8_products_of_narrow_bins_are_near_pytorch_s(tmp_path):
    network, words = super_language_model(BINS_SPACE, **ADAPTIVE).extract(BINS_SPACE.smallest()), some_words(1, 40)
    bundle = write(tmp_path / "int8", network, precision="int8", ranges=calibrated(network))
    found, _ = hat.LanguageModel(bundle).step(words[0].tolist())
    assert 0 < np.abs(found - by_pytorch(network, words)).mean() < TOLERANCES["int8"]


def test_tables_are_stored_once_and_in_a_byte_a_weight(network, bundles):
    weights = (bundles["int8"] / "weights.bin").read_bytes()
    for index in range(len(ADAPTIVE["bin_dims"])):
        table = network.embedding.tables[index].weight.detach().numpy()
        for stored, count in ((quantise_rows(table)[0], 1), (table, 0)):
            if stored.nbytes >= 256:  # smaller ones stay in the graph
                assert weights.count(stored.tobytes()) == count
    sizes = {name: (bundle / "weights.bin").stat().st_size for name, bundle in bundles.items()}
    assert sizes["int8"] < 0.6 * sizes["fp32"]
    assert max(sizes["int4"], sizes["kmeans4"]) < sizes["int8"]


def test_calibration_reads_parts_of_the_whole_text_however_short():
    parts = calibration_parts(np.arange(100_000))
    assert (parts[0][0], parts[-1][-1], {len(part) for part in parts}) == (0, 99_999, {200})
    assert {word for part in calibration_parts(np.array([3, 4])) for word in part} == {3, 4}


def run_alone(bundle, *arguments, text=""):
    """The one file's run where nothing but its packages can be imported."""
    runtime = bundle / RUNTIMES["language_modeling"].file
    script = blocking_imports(("numpy", "onnxruntime")) + RUNNER.format(arguments=[str(runtime), *arguments])
    return subprocess.run([sys.executable, "-c", script], input=text, capture_output=True, text=True, cwd=bundle.parent)


def test_one_file_writes_and_scores_without_hat(bundles):
    bundle = bundles["int8"]
    model = hat.LanguageModel(bundle)
    written = run_alone(bundle, "generate", "--prompt", "w5 w9", "--tokens", "8", "--seed", "3")
    assert (written.stderr, written.stdout) == ("", f"w5 w9 {model.generate('w5 w9', 8, seed=3)}\n")
    scored = run_alone(bundle, "score", text="\n".join(LINES) + "\n")
    rows = [f"{score.log_probability:.4f}\t{score.perplexity:.2f}\t{score.unknown}" for score in model.score(LINES)]
    assert scored.stdout.splitlines() == rows
    assert "of 11 words and ends of lines, 2 of them unknown" in scored.stderr
    open_bundle(bundle)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [((), "required: command"), (("translate",), "invalid choice"), (("generate", "--seed", "-1"), "seed must be")],
)
def test_one_file_tells_wrong_options_in_a_line(bundles, arguments, message):
    result = run_alone(bundles["fp32"], *arguments)
    assert (result.returncode, result.stderr.count("\n")) == (2, 1)
    assert message in result.stderr
