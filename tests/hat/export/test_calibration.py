"""Calibration: each product's input range against one worked out by hand, and against a search without histograms."""

import numpy as np
import pytest
import torch
from deployed import WIDE_DECODER, make_spec, peaked_weights, random_sources, torch_model

from hat.architecture.complexity import is_embedding, parameter_shapes
from hat.deploy.building.quantisation import activation_parameters
from hat.errors import ArtifactError, DataError
from hat.export.ranges import best_range
from hat.export.translation.calibration import calibrate


@pytest.fixture
def pairs():
    rng = np.random.default_rng(0)
    return list(zip(random_sources(rng, [9, 4, 12, 6, 2, 7]), random_sources(rng, [5, 8, 2, 11, 6, 3]), strict=True))


def make_model(**options):
    spec = make_spec(**options)
    return torch_model(WIDE_DECODER, spec, peaked_weights(WIDE_DECODER, spec, seed=1))


def round_to(low, high, values):
    """uint8 and back, with zero exact."""
    scale, zero = activation_parameters(low, high)
    levels = np.clip(np.rint(values / scale) + zero, 0, 255)
    return (levels - zero) * scale


def mean_squared_error(low, high, values):
    return np.square(values - round_to(low, high, values)).mean()


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"normalize_before": True, "activation": "gelu"},
        {"share_all_embeddings": False, "share_decoder_input_output_embed": False},
    ],
)
def test_every_product_gets_a_range_around_zero(pairs, options):
    model = make_model(**options)
    shapes = parameter_shapes(model.architecture, model.spec)
    products = {
        name.removesuffix(".weight") for name, shape in shapes.items() if len(shape) == 2 and not is_embedding(name)
    }
    ranges = calibrate(model, pairs)
    assert set(ranges) == products | {"decoder.output_projection"}
    for name, (low, high) in ranges.items():
        assert low <= 0 < high, name
        assert low < 0 or (name.endswith("fc2") and model.spec.activation == "relu"), name
        if name.endswith("fc2") and model.spec.activation == "relu":
            assert low == 0.0, name


def first_layer_inputs(model, pairs):
    """What the encoder's first qkv_proj and fc1 take in, from the weights alone (post-norm)."""
    weights = {name: tensor.double().numpy() for name, tensor in model.state_dict().items()}
    dim, full = model.architecture.encoder.embed_dim, model.spec.encoder_position_dim
    embedded = []
    for source, _ in pairs:
        half = full // 2
        frequencies = np.exp(-np.arange(half) * np.log(10000) / (half - 1))
        angles = (np.arange(len(source)) + model.spec.padding + 1)[:, None] * frequencies
        table = np.concatenate([np.sin(angles), np.cos(angles)], axis=1)[:, :dim]
        embedded.append(weights["encoder.embed_tokens.weight"][source][:, :dim] * dim**0.5 + table)
    return np.concatenate(embedded)


def test_the_range_is_that_of_least_error(pairs):
    model = make_model()
    low, high = calibrate(model, pairs)["encoder.layers.0.self_attn.qkv_proj"]
    values = first_layer_inputs(model, pairs)
    assert values.min() - 1e-4 <= low < 0 < high <= values.max() + 1e-4
    tried = [
        mean_squared_error(a * values.min(), b * values.max(), values)
        for a in np.linspace(0.5, 1, 21)
        for b in np.linspace(0.5, 1, 21)
    ]
    assert mean_squared_error(low, high, values) <= 1.02 * min(tried)  # the histogram rounds a little


def test_outliers_are_clipped_and_even_values_are_not():
    rng = np.random.default_rng(3)
    even = rng.uniform(-1, 2, 100_000)
    assert best_range(np.histogram(even, 2048, (-1, 2))[0], -1.0, 2.0) == (-1.0, 2.0)
    outliers = np.append(rng.standard_normal(100_000), [-8.0, 8.0])
    low, high = best_range(np.histogram(outliers, 2048, (-8, 8))[0], -8.0, 8.0)
    assert -7 < low < -3 < 3 < high < 7
    assert mean_squared_error(low, high, outliers) < 0.8 * mean_squared_error(-8, 8, outliers)


def test_the_model_is_left_as_it_was(pairs):
    model = make_model(dropout=0.5).train()
    before = calibrate(model, pairs)
    assert model.training
    assert before == calibrate(model.eval(), pairs)  # no dropout while calibrating
    assert not model.training
    assert not any(module._forward_pre_hooks for module in model.modules())


def test_an_input_that_is_always_zero(pairs):
    model = make_model()
    with torch.no_grad():
        model.encoder.layers[1].fc1.bias.fill_(-1e4)
    low, high = calibrate(model, pairs)["encoder.layers.1.fc2"]
    assert low == 0.0 < 0.1 < high  # wide enough for the bias, which is counted in its steps


def test_without_sentences_or_with_broken_weights(pairs):
    model = make_model()
    with pytest.raises(DataError, match="no training sentence to calibrate"):
        calibrate(model, [])
    with torch.no_grad():
        model.encoder.layers[0].fc1.bias.fill_(float("inf"))
    with pytest.raises(ArtifactError, match="input of encoder.layers.0.fc2 holds infinities"):
        calibrate(model, pairs)
    assert not any(module._forward_pre_hooks for module in model.modules())
