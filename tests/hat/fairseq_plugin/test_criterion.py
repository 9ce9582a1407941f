"""The fused loss against fairseq's own label_smoothed_nll_loss: value, log-likelihood and gradients."""

import pytest
import torch
from fairseq.criterions.label_smoothed_cross_entropy import label_smoothed_nll_loss

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
