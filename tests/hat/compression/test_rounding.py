"""Training with rounded weights: against the straight-through estimator written out, and what bundles make of it."""

import copy

import numpy as np
import pytest
import torch
from classifiers import classifier_spec, classifier_weights
from hypothesis import given, settings
from hypothesis import strategies as st

from hat.architecture.stacks import Architecture, EncoderArchitecture
from hat.compression.rounding import GRIDS, Rounder, lay_grids
from hat.deploy.building.block_costs import BlockCosts, StackCosts
from hat.deploy.building.column_blocks import ColumnBlocks
from hat.deploy.building.compaction import with_column_blocks, without_removed
from hat.deploy.building.quantisation import MIDDLE, codebook_of, nearest_codes, quantise_blocks

NAME = "output.weight"
ARCHITECTURE = Architecture(encoder=EncoderArchitecture(16, ffn_dim=(96,), self_attention_heads=(2,)), head_dim=4)


def stored(precision, weight):
    """The values that a bundle's numbers stand for."""
    if precision == "kmeans4":
        codebook = codebook_of(weight)
        return codebook.astype(np.float32)[nearest_codes(weight, codebook)]
    codes, scales = quantise_blocks(weight)
    widened = (codes.astype(np.float32) - MIDDLE) * scales.astype(np.float32)[..., None]
    return widened.reshape(len(weight), -1)[:, : weight.shape[1]]


def drawn(seed, rows, columns, size=1.0):
    return (size * np.random.default_rng(seed).standard_t(4, (rows, columns))).astype(np.float32)


@pytest.mark.parametrize("precision", GRIDS)
@settings(deadline=None, max_examples=40)
@given(
    st.integers(1, 4), st.integers(1, 80), st.integers(0, 2**32 - 1), st.sampled_from([1e-3, 1.0]), st.floats(0.0, 1.5)
)
def test_bundles_store_what_was_learnt_without_a_loss(precision, rows, columns, seed, size, moved):
    """However far the training moved the weights from where the grid was laid."""
    weight = drawn(seed, rows, columns, size)
    grid = GRIDS[precision](weight, [(np.arange(rows), np.arange(columns))])
    learnt = grid.nearest(torch.from_numpy(weight + moved * drawn(seed + 1, rows, columns, size))).numpy()
    np.testing.assert_array_equal(stored(precision, learnt), learnt)


def network():
    """(Architecture, weights) of a small encoder."""
    spec = classifier_spec(vocabulary=20, position_dim=16)
    return ARCHITECTURE, {name: weight.copy() for name, weight in classifier_weights(ARCHITECTURE, spec, 3).items()}


def learnt_from(architecture, weights, name):
    grid = lay_grids("int4", architecture, {name: torch.from_numpy(weight) for name, weight in weights.items()})[name]
    return grid.nearest(torch.from_numpy(weights[name] * drawn(2, *weights[name].shape))).numpy()


def test_what_is_left_of_pruned_neurons_is_stored_without_a_loss():
    """A bundle doesn't hold the removed columns, so that others share a block."""
    architecture, weights = network()
    name, left = "encoder.layers.0.fc2.weight", np.arange(96) % 3 != 1
    weights[name][:, ~left] = 0
    weights["encoder.layers.0.fc1.weight"][~left], weights["encoder.layers.0.fc1.bias"][~left] = 0, 0
    compact = without_removed(architecture, weights)[name]
    assert compact.shape == (16, 64)
    learnt = learnt_from(architecture, weights, name)
    np.testing.assert_array_equal(stored("int4", learnt[:, left]), learnt[:, left])


def test_blocks_of_columns_are_stored_without_a_loss():
    architecture, weights = network()
    name = "encoder.layers.0.fc1.weight"
    weights[name] = drawn(1, 96, 16)
    for block in range(2):
        weights[name][48 * block : 48 * block + 48, np.random.default_rng(block).permutation(16)[:12]] = 0
    assert isinstance(with_column_blocks(weights, StackCosts(BlockCosts(1.0), BlockCosts(1.0)))[name], ColumnBlocks)
    learnt = learnt_from(architecture, weights, name)
    for rows in (slice(48), slice(48, 96)):
        left = learnt[rows][:, weights[name][rows].any(axis=0)]
        np.testing.assert_array_equal(stored("int4", left), left)


def straight_through(weight, grid, stays, inputs, updates):
    """Adam on exact weights, whose gradient is that at the rounded ones: (rounded, exact) after the updates."""
    exact = weight.clone()
    optimizer = torch.optim.Adam([exact], lr=0.05)
    for update in range(updates):
        rounded = (grid.nearest(exact) * stays).requires_grad_()
        (torch.tanh(inputs @ rounded.T) - update).square().sum().backward()
        exact.grad = rounded.grad
        optimizer.step()
    return grid.nearest(exact) * stays, exact


def learn(layer, optimizer, inputs, updates):
    for update in updates:
        optimizer.zero_grad()
        (torch.tanh(layer(inputs)) - update).square().sum().backward()
        optimizer.step()


@pytest.mark.parametrize("precision", GRIDS)
def test_it_is_the_straight_through_estimator_also_from_a_checkpoint_on(precision):
    weight = torch.from_numpy(drawn(3, 8, 40))
    weight[:, 5] = 0.0  # removed
    inputs = torch.from_numpy(drawn(4, 6, 40))
    layer = torch.nn.Linear(40, 8, bias=False)
    layer.weight.data.copy_(weight)
    grid = GRIDS[precision](weight.numpy(), [(np.arange(8), np.arange(40))])
    expected, exact = straight_through(weight, grid, weight != 0, inputs, updates=7)

    optimizer = torch.optim.Adam(layer.parameters(), lr=0.05)
    Rounder({NAME: grid}, {NAME: weight}, {NAME: layer.weight}, optimizer)
    learn(layer, optimizer, inputs, range(4))
    saved = copy.deepcopy((layer.state_dict(), optimizer.state_dict()))

    again = torch.nn.Linear(40, 8, bias=False)
    resumed = torch.optim.Adam(again.parameters(), lr=0.05)
    again.load_state_dict(saved[0])
    resumed.load_state_dict(saved[1])
    Rounder({NAME: grid}, {NAME: weight}, {NAME: again.weight}, resumed)
    for each, its in ((layer, optimizer), (again, resumed)):
        learn(each, its, inputs, range(4, 7))
        torch.testing.assert_close(each.weight.detach(), expected)
        assert not each.weight[:, 5].any()
    assert not torch.allclose(exact, expected, atol=1e-2)


def test_what_has_no_grid_stays_exact():
    layer = torch.nn.Linear(3, 2)
    dense = {name: weight.detach().clone() for name, weight in layer.named_parameters()}
    grid = GRIDS["int4"](dense["weight"].numpy(), [(np.arange(2), np.arange(3))])
    optimizer = torch.optim.SGD(layer.parameters(), lr=0.1)
    Rounder({"weight": grid}, dense, dict(layer.named_parameters()), optimizer)
    torch.testing.assert_close(layer.bias.detach(), dense["bias"], rtol=0, atol=0)
    assert not torch.equal(layer.weight, dense["weight"])
