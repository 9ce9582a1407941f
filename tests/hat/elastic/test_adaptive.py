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
    embedding = ElasticAdaptiveEmbedding(WORDS, cutoffs, (embed_dim, 4, 2)[: len(cutoffs) + 1])
    softmax = ElasticAdaptiveSoftmax(embedding)
    with torch.no_grad():
        for parameter in [*embedding.parameters(), *softmax.parameters()]:
            parameter.normal_(std=0.5)
    return embedding, softmax


def activate(embedding, softmax, widths):
    for module in (embedding, softmax):
        module.activate(widths)


def fairseqs(embedding, softmax, widths):
    """fairseq's modules (of factor 4, 16 / 4 / 1 columns or those of `widths`) with the same weights, no biases."""
    adaptive_input = fairseq_input.AdaptiveInput(WORDS, 0, 16, 4, 16, list(CUTOFFS))
    for index, (table, width) in enumerate(zip(embedding.tables, widths, strict=True)):
        projection = torch.eye(16) if index == 0 else embedding.projections[index - 1].weight[:, :width]
        adaptive_input.embeddings[index][0] = torch.nn.Embedding.from_pretrained(table.weight.data[:, :width])
        adaptive_input.embeddings[index][1].weight = torch.nn.Parameter(projection.detach())
    output = fairseq_softmax.AdaptiveSoftmax(WORDS, 16, list(CUTOFFS), 0, adaptive_inputs=adaptive_input)
    output.head.class_proj.weight.data = softmax.classes.weight.data
    for index, projection in enumerate(softmax.projections):
        output.tail[index][0].weight.data = projection.weight.data[: widths[index + 1]]
    return adaptive_input, output


@pytest.mark.parametrize("widths", [(16, 4, 2), (16, 3, 2), (16, 1, 1)])
def test_equals_fairseqs_modules_with_the_same_weights(widths):
    embedding, softmax = both()
    activate(embedding, softmax, widths)
    with torch.no_grad():  # fairseq has no biases
        for bias in [*softmax.biases, softmax.classes.bias]:
            bias.zero_()
    adaptive_input, output = fairseqs(embedding, softmax, widths)
    words, features = torch.randint(WORDS, (3, 20)), torch.randn(3, 20, 16)
    with torch.no_grad():
        torch.testing.assert_close(embedding(words), adaptive_input(words), atol=1e-5, rtol=0)
        theirs = output.get_log_prob(features, None)
        torch.testing.assert_close(softmax.log_probabilities(features), theirs, atol=1e-5, rtol=0)
        chosen = -theirs.gather(2, words[..., None]).flatten()
        torch.testing.assert_close(softmax.losses(features.flatten(0, 1), words.flatten()), chosen, atol=1e-5, rtol=0)


@pytest.mark.parametrize("cutoffs", [CUTOFFS, (7,), ()])
@pytest.mark.parametrize("widths", [(16, 4, 2), (11, 4, 2), (11, 3, 1)])
def test_probabilities_add_up_to_1_and_losses_are_their_logarithms(cutoffs, widths):
    embedding, softmax = both(cutoffs)
    activate(embedding, softmax, widths[: len(cutoffs) + 1])
    features, words = torch.randn(30, widths[0]), torch.randint(WORDS, (30,))
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
