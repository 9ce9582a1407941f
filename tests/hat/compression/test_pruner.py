"""What a Pruner does to weights after each update: against the closed form of the proximal step, and resumed."""

import dataclasses

import numpy as np
import pytest
import torch
from classifiers import classifier_spec

from hat.architecture.complexity import parameter_shapes
from hat.architecture.groups import columns_in_blocks, heads_and_neurons
from hat.architecture.stacks import Architecture, EncoderArchitecture
from hat.compression.pruning.pruner import Aim, Pruner, chosen, root_mean_squares, scale, sizes_of, there
from hat.errors import UsageError
from hat.experiment.sections import CompressionConfig

ENCODER = EncoderArchitecture(16, ffn_dim=(32, 32), self_attention_heads=(4, 2))
BY_HEAD, SPLIT = Architecture(encoder=ENCODER, head_dim=4), Architecture(16, ENCODER)
SPEC = classifier_spec(vocabulary=20, position_dim=16)
PLAIN = CompressionConfig(max_update=20, warmup_updates=0, lr=0.1, method="lasso", strength=0.8)
METHODS = ["reweighted", "lasso", "gradual", "one_shot"]


def make_weights(architecture, seed=1):
    rng = torch.Generator().manual_seed(seed)
    shapes = parameter_shapes(architecture, SPEC)
    return {name: torch.randn(shape, generator=rng) for name, shape in shapes.items()}


def whole(architecture):
    return heads_and_neurons(architecture, parameter_shapes(architecture, SPEC))


def total(groups, architecture):
    shapes = parameter_shapes(architecture, SPEC)
    return sum(each.size(shapes) * each.count for each in groups)


def make_pruner(weights, groups, config, parameters, folder, first=0):
    return Pruner(groups, weights, config, there(groups, make_weights(SPLIT)), Aim(parameters), folder, first)


def noise(weights, update):
    """What an optimiser might do."""
    rng = torch.Generator().manual_seed(update)
    for weight in weights.values():
        weight += 0.1 * torch.randn(weight.shape, generator=rng)


def prune(weights, groups, config, parameters, folder, first=0, last=20):
    pruner = make_pruner(weights, groups, config, parameters, folder, first)
    for update in range(first + 1, last + 1):
        noise(weights, update)
        pruner.after(update)
    return weights


@pytest.mark.parametrize("architecture", [BY_HEAD, SPLIT], ids=["head by head", "split"])
def test_heads_and_neurons_are_all_of_the_layers_but_norms_and_output_biases(architecture):
    shapes = parameter_shapes(architecture, SPEC)
    left_out = ("layer_norm.weight", "layer_norm.bias", "out_proj.bias", "fc2.bias")
    expected = sum(int(np.prod(s)) for name, s in shapes.items() if ".layers." in name and not name.endswith(left_out))
    assert total(whole(architecture), architecture) == expected


@pytest.mark.parametrize("architecture", [BY_HEAD, SPLIT], ids=["head by head", "split"])
def test_no_weight_belongs_to_two_groups(architecture):
    for groups in (whole(architecture), columns_in_blocks(parameter_shapes(architecture, SPEC), 8)):
        weights = {name: torch.ones_like(weight) for name, weight in make_weights(architecture).items()}
        for each in groups:
            scale(each, weights, torch.full((each.count,), 2.0))
        assert all(weight.max() <= 2 for weight in weights.values())


def largest_that_goes(weights, groups, parameters):
    """Root mean square of the largest group that would be removed if it were done now."""
    going = [~stays for stays in chosen(groups, weights, Aim(parameters))]
    sizes = root_mean_squares(groups, weights, sizes_of(groups, weights))
    return max(float(size[gone].max()) for size, gone in zip(sizes, going, strict=True) if gone.any())


def test_the_shrinking_is_the_proximal_step_of_group_lasso(tmp_path):
    """min over V of ||V - W||^2 / 2 + a * sqrt(n) * ||V|| for each group, by its known solution."""
    weights, groups = make_weights(BY_HEAD), whole(BY_HEAD)
    pruner = make_pruner(weights, groups, PLAIN, total(groups, BY_HEAD) // 2, tmp_path)
    amount = 0.8 * largest_that_goes(weights, groups, total(groups, BY_HEAD) // 2) / 10
    before = {name: weight.clone() for name, weight in weights.items()}
    pruner.after(1)
    neuron = torch.cat([before[f"encoder.layers.0.fc1.{kind}"][5].flatten() for kind in ("weight", "bias")])
    neuron = torch.cat([neuron, before["encoder.layers.0.fc2.weight"][:, 5]])
    expected = max(0.0, 1 - amount * len(neuron) ** 0.5 / float(neuron.norm()))
    for name, row in (("fc1.weight", 5), ("fc2.weight", (slice(None), 5))):
        found, was = weights[f"encoder.layers.0.{name}"][row], before[f"encoder.layers.0.{name}"][row]
        torch.testing.assert_close(found, expected * was)
    same = "encoder.embed_tokens.weight"
    assert torch.equal(weights[same], before[same])


@pytest.mark.parametrize("updates", [60, 600])
@pytest.mark.parametrize("method", ["reweighted", "lasso"])
def test_what_goes_is_next_to_nothing_before_it_is_removed_though_gradients_regain_it(tmp_path, method, updates):
    """However long the training is: each update of the optimiser makes every weight larger by the same amount."""
    groups, weights = whole(BY_HEAD), make_weights(BY_HEAD)
    config = dataclasses.replace(PLAIN, method=method, max_update=2 * updates, strength=2.0)
    parameters = total(groups, BY_HEAD) // 2
    pruner = make_pruner(weights, groups, config, parameters, tmp_path)
    at_first = largest_that_goes(weights, groups, parameters)
    for update in range(1, updates):
        for weight in weights.values():
            weight += 0.01 * weight.sign()
        pruner.after(update)
    assert largest_that_goes(weights, groups, parameters) < 0.1 * at_first


@pytest.mark.parametrize("method", ["reweighted", "lasso"])
def test_what_stays_is_not_shrunk(tmp_path, method):
    groups, weights = whole(BY_HEAD), make_weights(BY_HEAD)
    parameters = total(groups, BY_HEAD) // 2
    kept, before = chosen(groups, weights, Aim(parameters)), [each.squared_norms(weights) for each in groups]
    make_pruner(weights, groups, dataclasses.replace(PLAIN, method=method), parameters, tmp_path).after(1)
    for each, stays, norms in zip(groups, kept, before, strict=True):
        assert torch.equal(each.squared_norms(weights)[stays], norms[stays])
        assert (each.squared_norms(weights) < norms)[~stays].all()


def test_reweighting_hastens_the_small_and_spares_the_large_of_what_goes(tmp_path):
    groups = whole(BY_HEAD)
    lost = {}
    for method in ("lasso", "reweighted"):
        weights = make_weights(BY_HEAD)
        weights["encoder.layers.0.fc1.weight"][8:16] *= 0.3
        weights["encoder.layers.0.fc2.weight"][:, 8:16] *= 0.3
        before = groups[1].squared_norms(weights).sqrt()
        changed = dataclasses.replace(PLAIN, method=method)
        make_pruner(weights, groups, changed, total(groups, BY_HEAD) // 3, tmp_path).after(1)
        share = 1 - groups[1].squared_norms(weights).sqrt() / before
        lost[method] = float(share[8:16].mean()), float(share[share > 1e-6].min())
    assert lost["reweighted"][0] > 1.3 * lost["lasso"][0]
    assert lost["reweighted"][1] == pytest.approx(lost["lasso"][1], rel=0.3)


@pytest.mark.parametrize("structure", ["whole", "columns"])
@pytest.mark.parametrize("method", METHODS)
def test_at_the_end_so_many_parameters_are_left_and_the_rest_is_zero(tmp_path, method, structure):
    shapes = parameter_shapes(BY_HEAD, SPEC)
    groups = whole(BY_HEAD) if structure == "whole" else columns_in_blocks(shapes, 8)
    parameters = total(groups, BY_HEAD) // 2
    weights = prune(make_weights(BY_HEAD), groups, dataclasses.replace(PLAIN, method=method), parameters, tmp_path)
    left = sum(each.size(shapes) * int((each.squared_norms(weights) > 0).sum()) for each in groups)
    assert 0.85 * parameters < left <= parameters


@pytest.mark.parametrize("killed_at", [3, 9, 10, 15])
@pytest.mark.parametrize("method", METHODS)
def test_killed_and_resumed_it_ends_with_the_same_weights(tmp_path, method, killed_at):
    groups, config = whole(SPLIT), dataclasses.replace(PLAIN, method=method)
    parameters = total(groups, SPLIT) // 3
    whole_way = prune(make_weights(SPLIT), groups, config, parameters, tmp_path)
    weights = prune(make_weights(SPLIT), groups, config, parameters, tmp_path, last=killed_at)
    saved = {name: weight.clone() for name, weight in weights.items()}
    prune(weights, groups, config, parameters, tmp_path, first=killed_at, last=killed_at + 2)  # lost by the kill
    resumed = prune(saved, groups, config, parameters, tmp_path, first=killed_at)
    assert all(torch.equal(resumed[name], whole_way[name]) for name in whole_way)


def test_penalties_of_another_training_in_the_folder_are_not_gone_on_with(tmp_path):
    """Renewed at other updates, so that theirs is the newest file."""
    groups, parameters = whole(SPLIT), total(whole(SPLIT), SPLIT) // 3
    config = dataclasses.replace(PLAIN, method="reweighted", renewals=1)
    expected = prune(make_weights(SPLIT), groups, config, parameters, tmp_path)
    (tmp_path / "used").mkdir()
    prune(make_weights(SPLIT, seed=2), groups, dataclasses.replace(config, renewals=8), parameters, tmp_path / "used")
    weights = prune(make_weights(SPLIT), groups, config, parameters, tmp_path / "used", last=8)
    resumed = prune(weights, groups, config, parameters, tmp_path / "used", first=8)
    assert all(torch.equal(resumed[name], expected[name]) for name in expected)


def test_counts_of_each_place_are_met_whatever_the_ranking(tmp_path):
    groups = whole(BY_HEAD)
    for method in METHODS:
        weights, config = make_weights(BY_HEAD), dataclasses.replace(PLAIN, method=method)
        pruner = Pruner(groups, weights, config, there(groups, weights), Aim(0, (3, 8, 1, 24)), tmp_path)
        for update in range(1, 21):
            noise(weights, update)
            pruner.after(update)
        assert there(groups, weights).counts == (3, 8, 1, 24)


def test_the_gradual_removal_follows_its_cubic_course(tmp_path):
    groups = whole(BY_HEAD)
    weights, config = make_weights(BY_HEAD), dataclasses.replace(PLAIN, method="gradual", max_update=200)
    before = there(groups, weights)
    pruner = Pruner(groups, weights, config, before, Aim(before.parameters // 3), tmp_path)
    for update in range(1, 101):
        pruner.after(update)
        if update % 25 == 0:
            expected = before.parameters * (1 / 3 + 2 / 3 * (1 - update / 100) ** 3)
            chunk = max(each.size(parameter_shapes(BY_HEAD, SPEC)) * (8 if each.count > 8 else 1) for each in groups)
            assert expected - chunk < there(groups, weights).parameters <= expected + 1


def test_blocks_that_do_not_divide_a_matrix_name_a_height_that_does():
    shapes = parameter_shapes(BY_HEAD, SPEC)
    with pytest.raises(UsageError, match="blocks of 24 rows do not divide .* use a divisor of 8"):
        columns_in_blocks(shapes | {"encoder.layers.0.fc1.weight": (24, 16)}, 24)


def test_a_removal_that_leaves_no_updates_is_refused():
    with pytest.raises(UsageError, match=r"compression\.removal: 0.0 of 20 updates leaves none"):
        dataclasses.replace(PLAIN, removal=0.0)
