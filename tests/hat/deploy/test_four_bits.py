"""4-bit matrices: unpacked to the bit as numpy does, by a function that a graph file holds once."""

import numpy as np
import onnx
import pytest

from hat.deploy.building.graph_builder import OURS, GraphBuilder
from hat.deploy.building.products import PRODUCTS
from hat.deploy.building.quantisation import MIDDLE, codebook_of, nearest_codes, quantise_blocks
from hat.deploy.sessions import make_session

SHAPES = [(8, 64), (8, 40), (8, 33), (8, 7)]  # whole blocks, broken ones, an odd number of columns


def int4(weight):
    codes, scales = quantise_blocks(weight)
    numbers = codes.astype(np.float32) - np.float32(MIDDLE)
    return (numbers * scales.astype(np.float32)[..., None]).reshape(len(weight), -1)[:, : weight.shape[1]]


def kmeans4(weight):
    codebook = codebook_of(weight)
    return codebook.astype(np.float32)[nearest_codes(weight, codebook)]


def matrices():
    return {f"m{n}": np.random.default_rng(n).standard_normal(s).astype(np.float32) for n, s in enumerate(SHAPES)}


@pytest.mark.parametrize(("precision", "expected"), [("int4", int4), ("kmeans4", kmeans4)])
def test_unpacked_weights_are_equal_to_the_bit_and_the_way_is_written_once(precision, expected):
    graph = GraphBuilder("test")
    tokens = graph.input("rows", "int64", ["count"])
    products = PRODUCTS[precision](graph, matrices())
    for name, weight in matrices().items():
        graph.node("Identity", [products.look_up(tokens, name)], [f"{name}.out"])
        graph.output(f"{name}.out", "float32", ["count", weight.shape[1]])
    model = graph.model({})
    onnx.checker.check_model(model)
    session = make_session(model.SerializeToString(), 1)
    for name, weight in matrices().items():
        (found,) = session.run([f"{name}.out"], {"rows": np.arange(len(weight))})
        np.testing.assert_array_equal(found, expected(weight))
    assert len(model.functions) == 1
    assert sum(node.domain == OURS for node in model.graph.node) == len(SHAPES)
    assert not any(node.op_type == "BitShift" for node in model.graph.node)


def test_graphs_without_4_bits_have_no_functions():
    graph = GraphBuilder("test")
    x = graph.input("x", "float32", ["rows", 64])
    graph.node("Identity", [PRODUCTS["fp32"](graph, {"m.weight": np.ones((8, 64), np.float32)}).linear(x, "m")], ["y"])
    graph.output("y", "float32", ["rows", 8])
    model = graph.model({})
    assert not model.functions
    assert OURS not in {opset.domain for opset in model.opset_import}


def test_values_that_differ_by_a_rounding_alone_share_a_code():
    values = np.linspace(-1, 1, 16).astype(np.float16).astype(np.float32)
    weight = np.stack([values, np.nextafter(values, np.float32(2))])
    np.testing.assert_array_equal(codebook_of(weight), values.astype(np.float16))
