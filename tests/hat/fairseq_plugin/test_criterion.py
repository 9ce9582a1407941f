"""The fused loss against fairseq's and torch's own losses: value, log-likelihood, gradients, and what is kept."""

import pytest
import torch
from fairseq.criterions.label_smoothed_cross_entropy import label_smoothed_nll_loss
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode

from hat.fairseq_plugin import criterion


def case(dtype=torch.float32):
    """features (12, 5), table (17, 5), target (12,)"""
    generator = torch.Generator().manual_seed(3)
    features = (2 * torch.randn(12, 5, generator=generator)).to(dtype).requires_grad_()
    table = torch.randn(17, 5, generator=generator).to(dtype).requires_grad_()
    return features, table, torch.randint(2, 17, (12,), generator=generator)


@pytest.mark.parametrize("epsilon", [0.0, 0.1, 0.7])
@pytest.mark.parametrize("tokens_at_a_time", [1, 5, 100])
def test_equals_fairseqs_loss_and_gradients(epsilon, tokens_at_a_time, monkeypatch):
    monkeypatch.setitem(criterion.TOKENS_AT_A_TIME, "cpu", tokens_at_a_time)
    features, table, target = case()
    expected = label_smoothed_nll_loss((features @ table.t()).log_softmax(-1), target, epsilon)
    gradients = torch.autograd.grad(5 * expected[0], (features, table))
    found = criterion.SmoothedLoss.apply(features, table, target, epsilon, True)
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(torch.autograd.grad(5 * found[0], (features, table)), gradients, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("weight", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("tokens_at_a_time", [5, 100])
def test_teachers_mean_distribution_replaces_a_share_of_the_target(weight, tokens_at_a_time, monkeypatch):
    monkeypatch.setitem(criterion.TOKENS_AT_A_TIME, "cpu", tokens_at_a_time)
    features, table, target = case()
    generator = torch.Generator().manual_seed(4)
    teachers = [
        (torch.randn(12, dim, generator=generator), torch.randn(17, dim, generator=generator)) for dim in (3, 7)
    ]
    taught = sum((inputs @ outputs.t()).softmax(-1) for inputs, outputs in teachers) / 2
    references = torch.full((12, 17), 0.1 / 16).scatter(1, target[:, None], 0.9)
    logits = features @ table.t()
    expected = F.cross_entropy(logits, (1 - weight) * references + weight * taught, reduction="sum")
    gradients = torch.autograd.grad(3 * expected, (features, table))
    found, nll = criterion.SmoothedLoss.apply(features, table, target, 0.1, True, teachers, weight)
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(nll, F.cross_entropy(logits, target, reduction="sum"))
    torch.testing.assert_close(torch.autograd.grad(3 * found, (features, table)), gradients, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("epsilon", [0.0, 0.1])
@pytest.mark.parametrize("scale", [1.0, 0.003, 1024.0])
def test_gradients_are_those_of_torchs_cross_entropy_in_float64(epsilon, scale):
    generator = torch.Generator().manual_seed(5)
    features, table = torch.randn(600, 24, generator=generator), torch.randn(301, 24, generator=generator) / 3
    target = torch.randint(0, 301, (600,), generator=generator)
    exact = [tensor.double().requires_grad_() for tensor in (features, table)]
    smoothing = epsilon * 301 / 300  # torch spreads over all words, fairseq over all others
    logits = exact[0] @ exact[1].t()
    expected = F.cross_entropy(logits, target, reduction="sum", label_smoothing=smoothing)
    gradients = torch.autograd.grad(scale * expected, exact)
    inputs = [features.requires_grad_(), table.requires_grad_()]
    found, _ = criterion.SmoothedLoss.apply(*inputs, target, epsilon, True)
    assert float(found.detach()) == pytest.approx(float(expected.detach()), rel=1e-6)
    for ours, exact in zip(torch.autograd.grad(scale * found, inputs), gradients, strict=True):
        assert float((ours - exact).norm() / exact.norm()) < 1e-6


class Largest(TorchDispatchMode):
    """`elements` of the largest tensor that any operation gives in its time."""

    elements = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        if isinstance(result, torch.Tensor):
            self.elements = max(self.elements, result.numel())
        return result


@pytest.mark.parametrize("with_teacher", [False, True])
def test_no_tensor_of_all_logits_and_nothing_of_the_vocabulary_times_tokens_is_kept(with_teacher):
    tokens, vocabulary, dim = 1000, 500, 8
    features = torch.randn(tokens, dim, requires_grad=True)
    table = torch.randn(vocabulary, dim, requires_grad=True)
    teachers = [(torch.randn(tokens, dim), torch.randn(vocabulary, dim))] if with_teacher else []
    kept = []
    hooks = torch.autograd.graph.saved_tensors_hooks(lambda tensor: kept.append(tensor.numel()) or tensor, lambda x: x)
    with Largest() as largest, hooks:
        target = torch.randint(vocabulary, (tokens,))
        loss, _ = criterion.SmoothedLoss.apply(features, table, target, 0.1, True, teachers, 0.5)
        loss.backward()
    assert largest.elements == criterion.TOKENS_AT_A_TIME["cpu"] * vocabulary
    assert sum(kept) <= (tokens + vocabulary) * dim + 10


def test_bfloat16_sums_the_gradient_of_the_table_in_float32(monkeypatch):
    """Some tokens in parts of one each: in bfloat16 their sum would stop growing at 256 times a part."""
    monkeypatch.setitem(criterion.TOKENS_AT_A_TIME, "cpu", 1)
    tokens = 2000
    features, table = torch.ones(tokens, 1, dtype=torch.bfloat16), torch.zeros(2, 1, requires_grad=True)
    loss, _ = criterion.SmoothedLoss.apply(features, table, torch.zeros(tokens, dtype=torch.long), 0.0, True)
    loss.backward()
    assert table.grad.flatten().tolist() == [-tokens / 2, tokens / 2]


def test_bfloat16_rounds_the_products_only():
    features, table, target = case(torch.bfloat16)
    logits = (features @ table.t()).float()
    expected = label_smoothed_nll_loss(logits.log_softmax(-1), target, 0.1)
    found = criterion.SmoothedLoss.apply(features, table, target, 0.1, True)
    torch.testing.assert_close(found, expected)
    gradients = torch.autograd.grad(found[0], (features, table))
    exact = torch.autograd.grad(expected[0], (features, table))
    assert [gradient.dtype for gradient in gradients] == [torch.bfloat16] * 2
    torch.testing.assert_close(gradients, exact, rtol=0.05, atol=0.05)
