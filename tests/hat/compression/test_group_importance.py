"""Importance of groups of weights: against what leaving each out does, and where it is kept."""

import copy
import dataclasses

import pytest
import tiny_classifier
import torch
from classifiers import FIXED_HEADS, SPLIT_HEADS, classifier_spec, classifier_weights

from hat.architecture.complexity import parameter_shapes
from hat.architecture.groups import columns_in_blocks, heads_and_neurons
from hat.compression import importance
from hat.compression.dense import Dense
from hat.compression.importance import LEAST, importance_of
from hat.compression.pruning.pruner import Aim, chosen, scale, sizes_of
from hat.errors import UsageError
from hat.evaluation.inherited_loss import InheritedLabelLoss
from hat.fairseq_plugin.classification_data import LabelledBatch
from hat.models.classification import Classifier

SPEC = classifier_spec(activation="relu")


def weights_of(architecture, seed):
    found = classifier_weights(architecture, SPEC, seed)
    return {name: torch.from_numpy(weight).double() for name, weight in found.items()}


def groups_of(architecture, structure):
    shapes = parameter_shapes(architecture, SPEC)
    return heads_and_neurons(architecture, shapes) if structure == "whole" else columns_in_blocks(shapes, 2)


@pytest.mark.parametrize("structure", ["whole", "columns"])
@pytest.mark.parametrize("architecture", [FIXED_HEADS, SPLIT_HEADS], ids=["fixed heads", "split heads"])
def test_it_is_the_mean_square_of_what_leaving_a_group_out_changes(architecture, structure):
    """Of losses that are linear in the weights, so that the first order is all that there is."""
    weights, losses = weights_of(architecture, 1), [weights_of(architecture, seed) for seed in (2, 3)]
    groups = groups_of(architecture, structure)

    def loss(slopes, values):
        return float(sum((slopes[name] * values[name]).sum() for name in values))

    found = importance_of(groups, weights, losses)
    for each, scores, size in zip(groups[:7], found, sizes_of(groups, weights), strict=False):
        for number in range(each.count):
            without = {name: weight.clone() for name, weight in weights.items()}
            scale(each, without, (torch.arange(each.count) != number).double())
            changes = [loss(slopes, weights) - loss(slopes, without) for slopes in losses]
            assert float(scores[number]) == pytest.approx(sum(change**2 for change in changes) / 2 / size, rel=1e-4)


def texts(seed):
    rng = torch.Generator().manual_seed(seed)
    tokens = torch.randint(5, SPEC.vocabulary, (6, 9), generator=rng)
    return LabelledBatch(torch.arange(6), tokens, None, torch.randint(0, 3, (6,), generator=rng))


def measured(model, groups, batches):
    loss = InheritedLabelLoss(copy.deepcopy(model), [[batch] for batch in batches])
    return importance_of(groups, model.state_dict(), map(loss.gradients, range(len(batches))))


@pytest.fixture
def model():
    model = Classifier(FIXED_HEADS, SPEC)
    model.load_state_dict({name: weight.float() for name, weight in weights_of(FIXED_HEADS, 1).items()})
    return model.eval()


def test_neurons_rank_by_what_they_do_and_not_by_how_large_their_weights_are(model):
    """A neuron behind a ReLU does the same with what it reads made larger and what it writes made smaller."""
    groups, batches = groups_of(FIXED_HEADS, "whole"), [texts(seed) for seed in range(3)]
    before = measured(model, groups, batches)
    with torch.no_grad():
        for layer in model.encoder.layers:
            factors = torch.logspace(-1, 1, layer.fc1.weight.shape[0])
            layer.fc1.weight.mul_(factors[:, None])
            layer.fc1.bias.mul_(factors)
            layer.fc2.weight.div_(factors)
    for now, was in zip(measured(model, groups, batches), before, strict=True):
        torch.testing.assert_close(now, was, rtol=1e-3, atol=1e-12)


def test_what_counts_most_stays_and_what_is_gone_stays_gone(model):
    groups, weights = groups_of(FIXED_HEADS, "whole"), weights_of(FIXED_HEADS, 1)
    total = sum(size * each.count for size, each in zip(sizes_of(groups, weights), groups, strict=True))
    scores = [torch.rand(each.count, generator=torch.Generator().manual_seed(7)) + 0.1 for each in groups]
    scores[1][3], gone = 9.0, torch.arange(groups[1].count) != 3
    assert chosen(groups, weights, Aim(total // 2), importance=scores)[1][3]
    scale(groups[1], weights, gone.double())
    kept = chosen(groups, weights, Aim(total // 2), importance=scores)
    assert not kept[1][3]
    best = scores[1][gone].sort(descending=True).values
    assert torch.equal(kept[1], (scores[1] >= best[int(kept[1].sum()) - 1]) & gone)


def test_a_dead_neuron_counts_least_but_is_there(model):
    groups = groups_of(FIXED_HEADS, "whole")
    with torch.no_grad():
        model.encoder.layers[0].fc1.bias[5] = -1e3
    assert float(measured(model, groups, [texts(1)])[1][5]) == LEAST


@pytest.mark.alone
def test_it_is_measured_once_for_each_network_and_again_where_the_file_is_damaged(tmp_path, monkeypatch):
    run, seen = tiny_classifier.trained_run(tmp_path), []
    plain = importance._measured
    monkeypatch.setattr(importance, "_measured", lambda dense: seen.append(dense.name) or plain(dense))
    with pytest.raises(UsageError, match="leaves a layer empty"):
        Dense(run, "full").at_rate(1000)
    assert seen == []  # it is told at once
    first, again = (Dense(run, "full").importance for _ in range(2))
    assert seen == ["full"]
    assert all(torch.equal(*pair) for pair in zip(first, again, strict=True))
    path = run.sub("full") / importance.KEPT
    path.write_bytes(path.read_bytes()[:40])
    assert all(torch.equal(*pair) for pair in zip(first, Dense(run, "full").importance, strict=True))
    assert seen == ["full"] * 2
    by_size = Dense(run, "full")
    by_size.config = dataclasses.replace(by_size.config, importance="size")
    assert by_size.importance is None
