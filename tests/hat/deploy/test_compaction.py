"""Graphs of pruned networks: they do what the networks with zeros in them do, and hold none of the zeros."""

import numpy as np
import pytest
import torch
from classifiers import FIXED_HEADS, KINDS, SPLIT_HEADS, Reference, classifier_spec, classifier_weights, random_texts
from deployed import WIDE_DECODER, beam_search, left_padded, make_spec, peaked_weights, random_sources, torch_model

from hat.architecture.groups import columns_in_blocks, heads_and_neurons
from hat.deploy.building.block_costs import BlockCosts, DeviceCosts, StackCosts
from hat.deploy.building.classifier_graph import build_classifier_graphs
from hat.deploy.building.column_blocks import ColumnBlocks
from hat.deploy.building.compaction import blocks_and_wholes, with_column_blocks, without_removed
from hat.deploy.building.graphs import build_graphs
from hat.deploy.sessions import make_session
from hat.export.classification.calibration import calibrate_classifier

LENGTHS = (7, 12, 3)


@pytest.fixture(autouse=True)
def small_blocks_pay(request, monkeypatch):
    if "real_costs" in request.fixturenames:
        return
    monkeypatch.setattr(BlockCosts, "relative", lambda *_: 0.5)


@pytest.fixture
def real_costs():
    """Blocks cost what the test says."""


def shapes_of(weights):
    return {name: weight.shape for name, weight in weights.items()}


def groups_of(structure, architecture, weights):
    """All Groups; those of columns in blocks of 8 rows, as far as matrices can be cut into such."""
    shapes = shapes_of(weights)
    if structure == "whole":
        return heads_and_neurons(architecture, shapes)
    return columns_in_blocks({name: shape for name, shape in shapes.items() if shape[0] % 8 == 0}, 8)


def pruned(groups, weights, share, seed=0):
    """`weights` with this share of each of the Groups at zero, but never all of it, by the definition of Slices."""
    rng, weights = np.random.default_rng(seed), {name: weight.copy() for name, weight in weights.items()}
    for each in groups:
        chosen = rng.permutation(each.count)[: min(round(share * each.count), each.count - 1)]
        for part in each.slices:
            block = weights[part.weight][part.rows]
            for index in part.index[chosen].ravel():
                block[(slice(None),) * part.axis + (index,)] = 0
    return weights


def layer_weights(graphs):
    """How many numbers the graphs hold of the layers' weights."""
    tensors = [tensor for graph in graphs.values() for tensor in graph.graph.initializer if ".layers." in tensor.name]
    return sum(int(np.prod(tensor.dims)) for tensor in tensors)


def classifier_logits(graph, spec, texts):
    session = make_session(graph.SerializeToString(), 1)
    return np.stack([session.run(["logits"], {"tokens": np.array([text], np.int64)})[0][0] for text in texts])


@pytest.mark.parametrize("architecture", [SPLIT_HEADS, FIXED_HEADS], ids=["split", "fixed"])
@pytest.mark.parametrize("kind", ["DistilBERT", "from scratch"])
@pytest.mark.parametrize("structure", ["whole", "columns"])
def test_a_pruned_classifier(architecture, kind, structure):
    spec = classifier_spec(**KINDS[kind])
    dense = classifier_weights(architecture, spec, seed=3)
    weights = pruned(groups_of(structure, architecture, dense), dense, 0.6)
    texts = random_texts(np.random.default_rng(1), LENGTHS, spec)
    reference = Reference(architecture, spec, weights)
    expected = np.stack([reference.logits(text) for text in texts])
    graphs = build_classifier_graphs(architecture, spec, weights)
    np.testing.assert_allclose(classifier_logits(graphs["classifier"], spec, texts), expected, atol=1e-4)
    assert layer_weights(graphs) < 0.75 * layer_weights(build_classifier_graphs(architecture, spec, dense))
    unpruned = Reference(architecture, spec, dense)
    assert np.abs(np.stack([unpruned.logits(text) for text in texts]) - expected).max() > 0.1


@pytest.mark.parametrize("structure", ["whole", "columns"])
def test_pruning_and_int8_combine(structure):
    spec = classifier_spec()
    dense = classifier_weights(FIXED_HEADS, spec, seed=3)
    weights = pruned(groups_of(structure, FIXED_HEADS, dense), dense, 0.5)
    texts = random_texts(np.random.default_rng(1), LENGTHS, spec)
    ranges = calibrate_classifier(FIXED_HEADS, spec, weights, texts)
    fp32, int8 = (
        build_classifier_graphs(FIXED_HEADS, spec, weights, precision, ranges)["classifier"]
        for precision in ("fp32", "int8")
    )
    found, expected = (classifier_logits(graph, spec, texts) for graph in (int8, fp32))
    assert 1e-5 < np.abs(found - expected).max() < 0.3
    assert any(tensor.name.endswith(".int8") for tensor in int8.graph.initializer)


@pytest.mark.parametrize("structure", ["whole", "columns"])
@pytest.mark.parametrize("style", [{}, {"normalize_before": True, "activation": "gelu"}], ids=["post-norm", "pre-norm"])
def test_a_pruned_translator(structure, style):
    spec = make_spec(**style)
    dense = peaked_weights(WIDE_DECODER, spec, seed=1)
    weights = pruned(groups_of(structure, WIDE_DECODER, dense), dense, 0.5)
    rng = np.random.default_rng(0)
    sources = random_sources(rng, (6, 10, 4), spec.source_vocabulary)
    targets = rng.integers(4, spec.target_vocabulary, (3, 7))
    targets[:, 0] = spec.end_of_sentence
    deployed = beam_search(WIDE_DECODER, spec, weights).log_probabilities(sources, targets)
    with torch.no_grad():
        logits = torch_model(WIDE_DECODER, spec, weights)(left_padded(sources), torch.from_numpy(targets))
    assert np.abs(deployed - logits.log_softmax(-1).numpy()).max() < 1e-4
    names = ["encoder", "step"]
    compact, whole = (build_graphs(WIDE_DECODER, spec, each, names=names) for each in (weights, dense))
    assert layer_weights(compact) < 0.75 * layer_weights(whole)


def test_nothing_is_left_out_of_a_network_without_zeros():
    weights = classifier_weights(SPLIT_HEADS, classifier_spec(), seed=1)
    found = without_removed(SPLIT_HEADS, weights)
    assert all(found[name] is weights[name] for name in weights)


def test_scattered_zeros_have_no_blocks():
    rng = np.random.default_rng(0)
    matrix = rng.standard_normal((64, 32)) * (rng.random((64, 32)) < 0.5)
    assert ColumnBlocks.of(matrix) is None
    assert ColumnBlocks.of(np.zeros((64, 32))) is None
    assert ColumnBlocks.of(np.ones((64, 32))) is None


def test_column_blocks_multiply_as_their_matrix():
    rng = np.random.default_rng(0)
    matrix = rng.standard_normal((32, 20))
    matrix[:16, ::2] = 0
    matrix[16:] = 0
    blocks = ColumnBlocks.of(matrix)
    x = rng.standard_normal(20)
    found = np.concatenate([block @ x[columns] for columns, block in zip(blocks.columns, blocks.blocks, strict=True)])
    np.testing.assert_allclose(found, matrix @ x)
    assert [len(columns) for columns in blocks.columns] == [10, 1]
    assert blocks.shape == (32, 20)


COLUMNS_DEAR = BlockCosts(1.1, 38.0)
COLUMNS_FREE = BlockCosts(1.1, 0.0)


def half_of_the_columns(rows):
    """64 rows in blocks, half of the columns each, neighbours others."""
    matrix = np.ones((64, 40), np.float32)
    for start in range(0, 64, rows):
        matrix[start : start + rows, start // rows % 2 :: 2] = 0
    return matrix


@pytest.mark.usefixtures("real_costs")
@pytest.mark.parametrize("stack", ["encoder", "decoder"])
def test_a_matrix_that_blocks_make_slower_stays_whole(stack):
    name = f"{stack}.layers.0.fc1.weight"
    weights = {name: half_of_the_columns(32)}
    here = StackCosts(**{"encoder": COLUMNS_DEAR, "decoder": COLUMNS_DEAR, stack: COLUMNS_FREE})
    assert isinstance(with_column_blocks(weights, here)[name], ColumnBlocks)
    assert blocks_and_wholes(weights, here) == (1, 0)
    there = StackCosts(**{"encoder": COLUMNS_FREE, "decoder": COLUMNS_FREE, stack: COLUMNS_DEAR})
    assert with_column_blocks(weights, there)[name] is weights[name]
    assert blocks_and_wholes(weights, there) == (0, 1)


@pytest.mark.usefixtures("real_costs")
def test_graphs_follow_the_device_at_their_precision():
    spec = classifier_spec()
    dense = classifier_weights(FIXED_HEADS, spec, seed=3)
    weights = pruned(groups_of("columns", FIXED_HEADS, dense), dense, 0.5)
    free, dear = (StackCosts(costs, costs) for costs in (COLUMNS_FREE, BlockCosts(9.0)))

    def gathers(costs, precision):
        (graph,) = build_classifier_graphs(FIXED_HEADS, spec, weights, precision, costs=costs).values()
        return sum(node.op_type == "Gather" for node in graph.graph.node)

    costs = DeviceCosts("phone", fp32=free, int8=dear)
    assert gathers(costs, "fp32") > gathers(costs, "int8")
    assert gathers(costs, "int4") > gathers(costs, "int8")


@pytest.mark.usefixtures("real_costs")
def test_costs_by_hand():
    costs = BlockCosts(weight=2, column=3, block=5, call=100)
    assert costs.relative((4, 10), [(2, 6), (2, 1)]) == (100 + 2 * (12 + 2) + 3 * (6 + 1) + 5 * 2) / (100 + 40)
