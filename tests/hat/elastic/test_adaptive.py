"""Adaptive tables against fairseq's modules with the same weights, and against the definition."""

import numpy as np
import pytest
import torch

import hat.fairseq_plugin.mends  # noqa: F401
from hat.elastic.adaptive import ElasticAdaptiveEmbedding, ElasticAdaptiveSoftmax

fairseq_input = pytest.importorskip("fairseq.modules.adaptive_input")
fairseq_softmax = pytest.importorskip("fairseq.modules.adaptive_softmax")

WORDS, CUTOFFS = 40, (10, 25)


def both(cutoffs=CUTOFFS, embed_dim=16):
    torch.manual_seed(0)
    embedding = ElasticAdaptiveEmbedding(WORDS, embed_dim, cutoffs, (embed_dim, 4, 2)[: len(cutoffs) + 1])
    softmax = ElasticAdaptiveSoftmax(embedding)
    with torch.no_grad():
        for parameter in [*embedding.parameters(), *softmax.parameters()]:
            parameter.normal_(std=0.5)
    return embedding, softmax


def fairseqs(embedding, softmax):
    """fairseq's modules (of factor 4, 16 / 4 / 1 columns or the tables' own) with the same weights, no biases."""
    adaptive_input = fairseq_input.AdaptiveInput(WORDS, 0, 16, 4, 16, list(CUTOFFS))
    for index, table in enumerate(embedding.tables):
        projection = torch.eye(16) if index == 0 else embedding.projections[index - 1].weight
        adaptive_input.embeddings[index][0] = torch.nn.Embedding.from_pretrained(table.weight.data)
        adaptive_input.embeddings[index][1].weight = torch.nn.Parameter(projection.detach())
    output = fairseq_softmax.AdaptiveSoftmax(WORDS, 16, list(CUTOFFS), 0, adaptive_inputs=adaptive_input)
    output.head.class_proj.weight.data = softmax.classes.weight.data
    for index, projection in enumerate(softmax.projections):
        output.tail[index][0].weight.data = projection.weight.data
    return adaptive_input, output


def test_equals_fairseqs_modules_with_the_same_weights():
    embedding, softmax = both()
    with torch.no_grad():  # fairseq has no biases
        for bias in [*softmax.biases, softmax.classes.bias]:
            bias.zero_()
    adaptive_input, output = fairseqs(embedding, softmax)
    words, features = torch.randint(WORDS, (3, 20)), torch.randn(3, 20, 16)
    with torch.no_grad():
        torch.testing.assert_close(embedding(words), adaptive_input(words), atol=1e-5, rtol=0)
        theirs = output.get_log_prob(features, None)
        torch.testing.assert_close(softmax.log_probabilities(features), theirs, atol=1e-5, rtol=0)
        chosen = -theirs.gather(2, words[..., None]).flatten()
        torch.testing.assert_close(softmax.losses(features.flatten(0, 1), words.flatten()), chosen, atol=1e-5, rtol=0)


@pytest.mark.parametrize("cutoffs", [CUTOFFS, (7,), ()])
@pytest.mark.parametrize("active", [16, 11])
def test_probabilities_add_up_to_1_and_losses_are_their_logarithms(cutoffs, active):
    embedding, softmax = both(cutoffs)
    embedding.activate(active)
    softmax.activate(active)
    features, words = torch.randn(30, active), torch.randint(WORDS, (30,))
    with torch.no_grad():
        log_probabilities = softmax.log_probabilities(features)
        torch.testing.assert_close(log_probabilities.exp().sum(-1), torch.ones(30), atol=1e-5, rtol=0)
        chosen = -log_probabilities.gather(1, words[:, None])[:, 0]
        torch.testing.assert_close(softmax.losses(features, words), chosen, atol=1e-5, rtol=0)


def test_probabilities_are_those_of_the_definition():
    embedding, softmax = both()
    feature = torch.randn(16)
    with torch.no_grad():
        found = softmax.log_probabilities(feature).exp().numpy()
        head = [embedding.tables[0].weight @ feature + softmax.biases[0], softmax.classes(feature)]
        head = torch.softmax(torch.cat(head), 0).numpy()
        expected = [head[:10]]
        for index, of_bin in ((1, head[10]), (2, head[11])):
            projected = softmax.projections[index - 1].weight @ feature
            logits = embedding.tables[index].weight @ projected + softmax.biases[index]
            expected.append(of_bin * torch.softmax(logits, 0).numpy())
    np.testing.assert_allclose(found, np.concatenate(expected), atol=1e-6)


def test_gradients_of_losses_are_those_of_the_logarithms():
    embedding, softmax = both()
    features, words = torch.randn(30, 16), torch.randint(WORDS, (30,))
    parameters = [*embedding.tables.parameters(), *softmax.parameters()]
    ours = torch.autograd.grad(softmax.losses(features, words).sum(), parameters)
    chosen = softmax.log_probabilities(features).gather(1, words[:, None])
    for found, expected in zip(ours, torch.autograd.grad(-chosen.sum(), parameters), strict=True):
        torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)
