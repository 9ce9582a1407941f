"""Importance of heads and neurons: found on made-up networks, held against leaving each one out."""

import dataclasses

import pytest
import torch
from tiny_classifiers import CLASSIFIER_SPACE, KINDS, classifier_spec, pairs_batch, shaken
from torch.nn import functional

from hat.architecture.space import SearchSpace
from hat.architecture.stacks import Architecture
from hat.models.classification import SuperClassifier
from hat.models.importance import measure_importance, reordered

TARGETS = torch.tensor([0, 2, 1, 1])
STRENGTHS = {"heads": [0.01, 1.0, 0.0, 0.1, 0.001], "neurons": [0.0] * 30 + [1.0, 0.01]}  # of what each puts out


def super_classifier(space=CLASSIFIER_SPACE, **options):
    return shaken(SuperClassifier(space, classifier_spec(**options)))


def loss_of(model, batch):
    return functional.cross_entropy(model(*batch), TARGETS, reduction="sum")


def importance_of(model, batches=1):
    return measure_importance(model, [pairs_batch()] * batches, loss_of)


def with_planted_strengths(model):
    """Scale what each head and neuron adds to the residual stream, the same in every layer."""
    with torch.no_grad():
        for layer in model.encoder.layers:
            layer.self_attn.out_proj.weight.mul_(torch.tensor(STRENGTHS["heads"]).repeat_interleave(4))
            layer.fc2.weight.mul_(torch.tensor(STRENGTHS["neurons"]))
    return model


@pytest.mark.parametrize("kind", KINDS)
def test_reordered_networks_compute_the_same(kind):
    model = super_classifier(**KINDS[kind])
    turned = reordered(model, importance_of(model))
    with torch.no_grad():
        torch.testing.assert_close(turned(*pairs_batch()), model(*pairs_batch()), atol=1e-5, rtol=0)
    for found in importance_of(turned):
        assert found.heads.diff().max() <= 1e-6
        assert found.neurons.diff().max() <= 1e-6


def test_importance_is_the_slope_of_each_examples_loss():
    model, (tokens, segments) = with_planted_strengths(super_classifier()), pairs_batch()
    found, layer, step = importance_of(model, batches=2)[1], model.encoder.layers[1], 1e-2
    expected = torch.zeros(5)
    with torch.no_grad():
        for head in range(5):
            losses = []
            columns = layer.self_attn.out_proj.weight[:, 4 * head : 4 * head + 4]
            kept = columns.clone()
            for mask in (1 + step, 1 - step):
                columns.copy_(mask * kept)
                losses.append(functional.cross_entropy(model(tokens, segments), TARGETS, reduction="none"))
            columns.copy_(kept)
            expected[head] = ((losses[0] - losses[1]) / (2 * step)).abs().mean()
    torch.testing.assert_close(found.heads, expected, atol=1e-4, rtol=1e-2)
    assert model.encoder.layers[1].fc2.weight.grad is None


def test_what_matters_most_comes_first():
    for found in importance_of(with_planted_strengths(super_classifier(activation="gelu"))):  # no neuron is dead
        assert found.heads.argsort(descending=True).tolist() == [1, 3, 0, 4, 2]
        assert found.neurons.argsort(descending=True).tolist()[:2] == [30, 31]


def test_smaller_networks_are_nearer_to_the_whole_one_after_reordering():
    model = with_planted_strengths(super_classifier())
    encoder = dataclasses.replace(CLASSIFIER_SPACE.largest().encoder, self_attention_heads=(3,) * 3, ffn_dim=(20,) * 3)
    smaller, distances = Architecture(encoder=encoder, head_dim=4), []
    networks = model, reordered(model, importance_of(model))
    with torch.no_grad():
        whole = model(*pairs_batch())
        for network in networks:
            distances.append((network.extract(smaller)(*pairs_batch()) - whole).abs().max())
    assert distances[1] < 0.01 * distances[0]


def test_heads_that_split_one_width_stay():
    space = SearchSpace(16, dataclasses.replace(CLASSIFIER_SPACE.encoder, self_attention_heads=(4, 2)))
    model = super_classifier(space)
    turned = reordered(model, importance_of(model))
    before, after = (network.encoder.layers[0] for network in (model, turned))
    assert torch.equal(before.self_attn.qkv_proj.weight, after.self_attn.qkv_proj.weight)
    assert not torch.equal(before.fc1.weight, after.fc1.weight)
