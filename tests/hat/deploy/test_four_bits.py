"""4-bit weights: how they are chosen, and that graphs compute with just what they stand for."""

import numpy as np
import pytest
from classifiers import FIXED_HEADS, classifier_spec, classifier_weights, random_texts
from hypothesis import given
from hypothesis import strategies as st

from hat.deploy.building.classifier_graph import build_classifier_graphs
from hat.deploy.building.quantisation import BLOCK, MIDDLE, quantise_blocks
from hat.deploy.sessions import make_session


def widened(weight):
    """What the 4-bit form of a matrix stands for, number by number."""
    codes, scales = quantise_blocks(weight)
    found = np.zeros_like(weight)
    for row, column in np.ndindex(weight.shape):
        block, place = divmod(column, BLOCK)
        found[row, column] = (int(codes[row, block, place]) - MIDDLE) * np.float32(scales[row, block])
    return found


@given(st.integers(1, 3), st.integers(1, 70), st.integers(0, 2**32 - 1), st.sampled_from([1e-6, 1.0, 1e3]))
def test_blocks_are_as_near_as_the_plain_scale_brings_them(rows, columns, seed, size):
    """The plain scale being that by which the largest value fits; scales themselves have 16 bits."""
    weight = (size * np.random.default_rng(seed).standard_t(4, (rows, columns))).astype(np.float32)
    found = widened(weight)
    for start in range(0, columns, BLOCK):
        block, chosen = weight[:, start : start + BLOCK], found[:, start : start + BLOCK]
        step = np.maximum(np.abs(block).max(axis=1, keepdims=True) / 7, 6e-8)
        rounded = np.rint(block / step) * step
        allowed = 1.4 * np.square(rounded - block).sum() + np.square(2e-3 * block).sum()
        assert np.square(chosen - block).sum() <= allowed + 1e-12


def test_codes_are_four_bits_and_zeros_stay_zero():
    codes, scales = quantise_blocks(np.zeros((2, 40), np.float32))
    assert (codes == MIDDLE).all()
    assert np.isfinite(scales).all()
    codes, _ = quantise_blocks(np.random.default_rng(0).standard_normal((5, 96)).astype(np.float32))
    assert codes.min() == 0
    assert codes.max() <= 15


def test_a_graph_multiplies_with_what_they_stand_for():
    """As an fp32 graph of the widened weights does; vectors aren't touched."""
    spec = classifier_spec()
    weights = classifier_weights(FIXED_HEADS, spec, seed=2)
    texts = random_texts(np.random.default_rng(1), (7, 12, 3), spec)
    # biases of the output projections join those of the values, which is no matter of rounding
    matrices = {name: weight for name, weight in weights.items() if weight.ndim == 2 and "embed_positions" not in name}
    stands_for = weights | {name: widened(weight) for name, weight in matrices.items()}
    for layer in range(FIXED_HEADS.encoder.layers):
        name = f"encoder.layers.{layer}.self_attn"
        values = weights[f"{name}.qkv_proj.bias"].reshape(-1, 3, FIXED_HEADS.head_dim)[:, 2].ravel()
        difference = weights[f"{name}.out_proj.weight"] - stands_for[f"{name}.out_proj.weight"]
        stands_for[f"{name}.out_proj.bias"] = weights[f"{name}.out_proj.bias"] + difference @ values
    small, expected = (
        build_classifier_graphs(FIXED_HEADS, spec, *form)["classifier"]
        for form in ((weights, "int4"), (stands_for, "fp32"))
    )
    for text in texts:
        given = {"tokens": np.array([text], np.int64)}
        logits = [make_session(graph.SerializeToString(), 1).run(None, given)[0] for graph in (small, expected)]
        np.testing.assert_allclose(*logits, atol=1e-4)


def test_a_matrix_takes_four_bits_and_a_half_a_number():
    spec = classifier_spec()
    graph = build_classifier_graphs(FIXED_HEADS, spec, classifier_weights(FIXED_HEADS, spec, seed=2), "int4")
    stored = {tensor.name: tensor for tensor in graph["classifier"].graph.initializer}
    packed, scale = (stored[f"encoder.layers.0.fc2.weight.{part}"] for part in ("int4", "scale"))
    size = len(packed.raw_data) + len(scale.raw_data)
    outputs, inputs = 24, 40
    assert size == outputs * -(-inputs // BLOCK) * (BLOCK / 2 + 2)
    assert size / (outputs * 2 * BLOCK) * 8 == pytest.approx(4.5)
