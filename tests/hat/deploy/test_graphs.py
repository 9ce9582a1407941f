"""The ONNX graphs against the PyTorch model with the same weights."""

import numpy as np
import pytest
import torch
from deployed import (
    EQUAL_WIDTHS,
    WIDE_DECODER,
    WIDE_ENCODER,
    beam_search,
    left_padded,
    make_spec,
    peaked_weights,
    random_sources,
    torch_model,
)
from tiny import TINY_SPACE, tiny_spec

from hat.architecture.complexity import parameter_shapes
from hat.deploy.building.graph_builder import GraphBuilder
from hat.deploy.building.graphs import build_graphs, random_weights
from hat.deploy.building.products import PRODUCTS, SINGLE_ROW_PRODUCTS
from hat.deploy.building.quantisation import quantise_rows
from hat.deploy.sessions import make_session
from hat.errors import UsageError
from hat.export.translation.calibration import calibrate
from hat.models.translation import SuperTransformer

SHARING = {
    "all shared": {},
    "target shared": {"share_all_embeddings": False, "source_vocabulary": 61},
    "nothing shared": {
        "share_all_embeddings": False,
        "share_decoder_input_output_embed": False,
        "source_vocabulary": 61,
    },
}
STYLES = {"post-norm relu": {}, "pre-norm gelu": {"normalize_before": True, "activation": "gelu"}}


def both_log_probabilities(architecture, spec, weights, precision="fp32", ranges=None):
    """Log-probabilities of a batch of different lengths: step by step from the graphs, at once from PyTorch."""
    rng = np.random.default_rng(0)
    sources = random_sources(rng, (6, 10, 4, 2), spec.source_vocabulary)
    targets = rng.integers(4, spec.target_vocabulary, (4, 7))
    targets[:, 0] = spec.end_of_sentence
    deployed = beam_search(architecture, spec, weights, precision, ranges).log_probabilities(sources, targets)
    with torch.no_grad():
        logits = torch_model(architecture, spec, weights)(left_padded(sources), torch.from_numpy(targets))
    return deployed, logits.log_softmax(-1).numpy()


@pytest.mark.parametrize("architecture", [WIDE_DECODER, WIDE_ENCODER, EQUAL_WIDTHS])
@pytest.mark.parametrize("sharing", SHARING.values(), ids=SHARING)
@pytest.mark.parametrize("style", STYLES.values(), ids=STYLES)
def test_steps_equal_pytorch_at_once(architecture, sharing, style):
    spec = make_spec(**sharing, **style)
    deployed, expected = both_log_probabilities(architecture, spec, peaked_weights(architecture, spec, seed=1))
    assert np.abs(expected).max() > 8  # far from uniform, so that a fault would show
    assert np.abs(deployed - expected).max() < 1e-4


@pytest.mark.parametrize("sharing", SHARING.values(), ids=SHARING)
def test_int8_is_close_to_fp32(sharing):
    spec = make_spec(**sharing)
    weights = peaked_weights(WIDE_DECODER, spec, seed=1, scale=1.0)
    rng = np.random.default_rng(1)
    pairs = zip(random_sources(rng, [7] * 20, spec.source_vocabulary), random_sources(rng, [7] * 20), strict=True)
    ranges = calibrate(torch_model(WIDE_DECODER, spec, weights), list(pairs))
    deployed, expected = both_log_probabilities(WIDE_DECODER, spec, weights, "int8", ranges)
    difference = np.abs(deployed - expected)
    assert 1e-4 < difference.max() < 0.2
    assert np.corrcoef(deployed.ravel(), expected.ravel())[0, 1] > 0.999


def test_extracted_subtransformers_of_a_supernet():
    """Elastic depth and width: random SubTransformers, extracted, against the active supernet itself."""
    torch.manual_seed(0)
    supernet = SuperTransformer(TINY_SPACE, tiny_spec()).eval()
    rng = np.random.default_rng(4)
    sources = random_sources(rng, (5, 3), 30)
    targets = [[2, 7, 8], [2, 9, 5]]
    for architecture in (TINY_SPACE.smallest(), TINY_SPACE.largest(), TINY_SPACE.sample(rng), TINY_SPACE.sample(rng)):
        supernet.activate(architecture)
        weights = {name: w.numpy() for name, w in supernet.extract(architecture).state_dict().items()}
        with torch.no_grad():
            expected = supernet(left_padded(sources), torch.tensor(targets)).log_softmax(-1).numpy()
        deployed = beam_search(architecture, supernet.spec, weights).log_probabilities(sources, targets)
        assert np.abs(deployed - expected).max() < 1e-4


def test_keys_and_values_are_computed_once_a_sentence_whatever_the_beam():
    spec = make_spec()
    search = beam_search(WIDE_DECODER, spec, peaked_weights(WIDE_DECODER, spec, seed=1))
    outputs = search.encoder.encode([[5, 6, 7, 2]], beam=5)
    assert outputs["cross_key.1"].shape() == [1, 8, 12, 4]  # batch, heads, three layers of four tokens, head_dim


@pytest.mark.parametrize("sharing", SHARING.values(), ids=SHARING)
@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_graphs_hold_each_weight_once(sharing, precision):
    spec = make_spec(vocabulary=3000, **sharing)
    weights = random_weights(WIDE_DECODER, spec, seed=1)
    count = sum(weight.size for weight in weights.values())
    held = {}
    for model in build_graphs(WIDE_DECODER, spec, weights, precision).values():
        held.update({tensor.name: len(tensor.raw_data) for tensor in model.graph.initializer if "." in tensor.name})
    bytes_each = {"fp32": 4.08, "int8": 1.25}[precision]  # in int8, scales and biases are float32
    assert sum(held.values()) < count * bytes_each


def test_random_weights_have_the_names_and_shapes_of_the_model():
    spec = make_spec()
    weights = random_weights(WIDE_ENCODER, spec, seed=1)
    assert {name: weight.shape for name, weight in weights.items()} == parameter_shapes(WIDE_ENCODER, spec)
    assert np.array_equal(
        weights["decoder.layers.0.fc1.weight"], random_weights(WIDE_ENCODER, spec, 1)["decoder.layers.0.fc1.weight"]
    )


def test_unknown_precision_is_refused():
    spec = make_spec()
    with pytest.raises(UsageError, match="'int3' is not one of fp32, int8"):
        build_graphs(WIDE_ENCODER, spec, random_weights(WIDE_ENCODER, spec, 1), "int3")


def test_quantised_rows_come_back_within_half_a_step():
    weight = np.random.default_rng(0).standard_normal((7, 11)).astype(np.float32) * np.logspace(-3, 3, 7)[:, None]
    weight[3] = 0
    quantised, scales = quantise_rows(weight.astype(np.float32))
    assert np.abs(quantised).max() == 127
    assert np.all(np.abs(quantised * scales[:, None] - weight) <= scales[:, None] * 0.5001)


@pytest.mark.parametrize("single_row", [False, True])
def test_int8_keeps_the_bias_of_outputs_without_weights(single_row):
    """Rows of zeros, of weights far smaller than their bias, and a product whose input was always zero."""
    rng = np.random.default_rng(0)
    weight = rng.standard_normal((6, 32)).astype(np.float32)
    weight[1], weight[2] = 0, weight[2] * 1e-12
    weights = {"a.weight": weight, "a.bias": np.array([0.5, -3, 7, 0, 1e-3, -40], np.float32)}
    x = rng.uniform(-4, 4, (1, 32)).astype(np.float32)
    for high, given in ((4.0, x), (0.0, 0 * x)):
        graph = GraphBuilder("test")
        products = (SINGLE_ROW_PRODUCTS if single_row else PRODUCTS)["int8"](graph, weights, {"a": (-high, high)})
        graph.output(products.linear(graph.input("x", "float32", [1, 32]), "a"), "float32", [1, 6])
        session = make_session(graph.model({}).SerializeToString(), 1)
        found = session.run(None, {"x": given})[0]
        np.testing.assert_allclose(found, given @ weight.T + weights["a.bias"], atol=0.1 * high + 1e-4)
        assert found[0, 1:3] == pytest.approx([-3, 7], rel=1e-4)
