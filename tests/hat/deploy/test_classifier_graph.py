"""The graph of a classifier against a plain computation of the same weights."""

import numpy as np
import onnx
import onnxruntime
import pytest
from classifiers import (
    FIXED_HEADS,
    KINDS,
    ONE_LAYER,
    SPLIT_HEADS,
    Reference,
    classifier_spec,
    classifier_weights,
    random_texts,
)

from hat.deploy.building.classifier_graph import build_classifier_graphs
from hat.deploy.building.graph_builder import GraphBuilder
from hat.deploy.building.products import PRODUCTS
from hat.deploy.sessions import make_session
from hat.errors import UsageError

LENGTHS = (7, 12, 3, 25)


def session_of(*model, **options):
    return make_session(build_classifier_graphs(*model, **options)["classifier"].SerializeToString(), 1)


def graph_logits(session, spec, texts, segments):
    """Logits of a batch, padded on the right."""
    width = max(map(len, texts))
    inputs = {"tokens": [[*ids, *[spec.padding] * (width - len(ids))] for ids in texts]}
    if spec.segments > 1:
        inputs["segments"] = [[*ids, *[0] * (width - len(ids))] for ids in segments]
    return session.run(["logits"], {name: np.array(rows, np.int64) for name, rows in inputs.items()})[0]


@pytest.mark.parametrize("architecture", [SPLIT_HEADS, FIXED_HEADS, ONE_LAYER], ids=["split", "fixed", "one layer"])
@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_equals_a_plain_computation_alone_and_in_a_padded_batch(architecture, kind):
    spec, rng = classifier_spec(**kind), np.random.default_rng(1)
    weights = classifier_weights(architecture, spec, seed=3)
    texts = random_texts(rng, LENGTHS, spec)
    segments = [np.sort(rng.integers(0, max(1, spec.segments), len(text))).tolist() for text in texts]
    reference = Reference(architecture, spec, weights)
    expected = np.array([reference.logits(*pair) for pair in zip(texts, segments, strict=True)])
    session = session_of(architecture, spec, weights)
    assert np.ptp(expected, axis=0).min() > 0.3  # texts differ
    np.testing.assert_allclose(graph_logits(session, spec, texts, segments), expected, atol=1e-4)
    for text, segment, logits in zip(texts, segments, expected, strict=True):
        np.testing.assert_allclose(graph_logits(session, spec, [text], [segment])[0], logits, atol=1e-4)


@pytest.mark.parametrize(("precision", "tolerance"), [("fp16", 0.02), ("bf16", 0.2)])
def test_sixteen_bits_are_half_the_size_and_nearly_the_same(precision, tolerance):
    spec = classifier_spec()
    weights = classifier_weights(FIXED_HEADS, spec, seed=2)
    model, full = (
        build_classifier_graphs(FIXED_HEADS, spec, weights, kind)["classifier"].SerializeToString()
        for kind in (precision, "fp32")
    )
    texts = random_texts(np.random.default_rng(1), LENGTHS, spec)
    found, expected = (graph_logits(make_session(each, 1), spec, texts, None) for each in (model, full))
    assert 1e-5 < np.abs(found - expected).max() < tolerance
    assert len(model) < 0.7 * len(full)


def test_unknown_precision_is_refused():
    spec = classifier_spec()
    with pytest.raises(UsageError, match="'int3' is not one of fp32, int8"):
        build_classifier_graphs(ONE_LAYER, spec, classifier_weights(ONE_LAYER, spec, 1), "int3")


@pytest.mark.parametrize("inputs", [64, 33])
def test_int8_products_are_exact_where_sums_of_two_are_kept_in_16_bits(inputs):
    """Without the slow way that make_session chooses on x86 processors without VNNI."""
    rng = np.random.default_rng(3)
    weight = rng.standard_normal((40, inputs)).astype(np.float32)
    weight[0], weight[1], weight[2, ::2] = 1, -1, 0
    weights = {"a.weight": weight, "a.bias": rng.standard_normal(40).astype(np.float32)}
    graph = GraphBuilder("test")
    products = PRODUCTS["int8"](graph, weights, {"a": (0.0, 2.55)})
    graph.output(products.linear(graph.input("x", "float32", ["rows", inputs]), "a"), "float32", ["rows", 40])
    session = onnxruntime.InferenceSession(graph.model({}).SerializeToString(), providers=["CPUExecutionProvider"])
    x = np.round(rng.uniform(2.0, 2.55, (9, inputs)), 2).astype(np.float32)  # integers of 200 to 255
    expected = x @ weight.T + weights["a.bias"]
    found = session.run(None, {"x": x})[0]
    steps = np.abs(weight).max(axis=1) / 63  # a weight is at most half as fine as with all of int8
    assert np.all(np.abs(found - expected) < 0.5 * steps * np.abs(x).sum(axis=1, keepdims=True) + 1e-3)
    assert np.corrcoef(found.ravel(), expected.ravel())[0, 1] > 0.9999


def test_int8_takes_the_slow_exact_way_nowhere(monkeypatch, tmp_path):
    """Graphs without the mark that they need it nowhere, as those of earlier versions, take it."""
    monkeypatch.setattr("hat.deploy.sessions.may_saturate", lambda: True)
    spec = classifier_spec()
    graph = build_classifier_graphs(ONE_LAYER, spec, classifier_weights(ONE_LAYER, spec, 1), "int8")["classifier"]
    onnx.save(graph, tmp_path / "classifier.onnx")
    assert not is_slow(graph.SerializeToString())
    assert not is_slow(tmp_path / "classifier.onnx")
    del graph.metadata_props[:]
    assert is_slow(graph.SerializeToString())


def is_slow(model):
    try:
        return make_session(model, 1).get_session_options().get_session_config_entry("session.x64quantprecision") == "1"
    except RuntimeError:  # it isn't set
        return False
