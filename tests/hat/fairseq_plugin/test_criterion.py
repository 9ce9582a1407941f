"""The fused loss against fairseq's own label_smoothed_nll_loss: value, log-likelihood and gradients."""

import pytest
import torch
from fairseq.criterions.label_smoothed_cross_entropy import label_smoothed_nll_loss
from torch.nn import functional as F

from hat.fairseq_plugin import criterion


def case(dtype=torch.float32):
    """features (12, 5), table (17, 5), target (12,)"""
    generator = torch.Generator().manual_seed(3)
    features = (2 * torch.randn(12, 5, generator=generator)).to(dtype).requires_grad_()
    table = torch.randn(17, 5, generator=generator).to(dtype).requires_grad_()
    return features, table, torch.randint(2, 17, (12,), generator=generator)


@pytest.mark.parametrize("epsilon", [0.0, 0.1, 0.7])
@pytest.mark.parametrize("logits_at_a_time", [1, 85, 10**6])
def test_equals_fairseqs_loss_and_gradients(epsilon, logits_at_a_time, monkeypatch):
    monkeypatch.setitem(criterion.LOGITS_AT_A_TIME, "cpu", logits_at_a_time)
    features, table, target = case()
    expected = label_smoothed_nll_loss((features @ table.t()).log_softmax(-1), target, epsilon)
    gradients = torch.autograd.grad(5 * expected[0], (features, table))
    found = criterion.SmoothedLoss.apply(features, table, target, epsilon, True)
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(torch.autograd.grad(5 * found[0], (features, table)), gradients, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("weight", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("logits_at_a_time", [50, 10**6])
def test_teachers_mean_distribution_replaces_a_share_of_the_target(weight, logits_at_a_time, monkeypatch):
    monkeypatch.setitem(criterion.LOGITS_AT_A_TIME, "cpu", logits_at_a_time)
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
