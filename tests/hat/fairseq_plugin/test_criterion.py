"""The fused loss against fairseq's own label_smoothed_nll_loss: value, log-likelihood and gradient."""

import pytest
import torch
from fairseq.criterions.label_smoothed_cross_entropy import label_smoothed_nll_loss

import hat.fairseq_plugin.criterion as criterion

PADDING = 1


def case(seed, padded, dtype=torch.float32):
    generator = torch.Generator().manual_seed(seed)
    logits = (3 * torch.randn(12, 17, generator=generator)).to(dtype).requires_grad_()
    target = torch.randint(2, 17, (12,), generator=generator)
    if padded:
        target[3:7] = PADDING
    return logits, target


def reference(logits, target, epsilon):
    log_probs = torch.log_softmax(logits.float(), dim=-1)
    return label_smoothed_nll_loss(log_probs, target, epsilon, ignore_index=PADDING)


@pytest.mark.parametrize("epsilon", [0.0, 0.1, 0.7])
@pytest.mark.parametrize("padded", [False, True])
def test_equals_fairseqs_loss_and_gradient(epsilon, padded):
    logits, target = case(3, padded)
    expected, expected_nll = reference(logits, target, epsilon)
    (expected_gradient,) = torch.autograd.grad(5 * expected, logits)
    loss, nll = criterion._SmoothedLoss.apply(logits, target, epsilon, PADDING)
    (gradient,) = torch.autograd.grad(5 * loss, logits)
    torch.testing.assert_close((loss, nll), (expected, expected_nll))
    torch.testing.assert_close(gradient, expected_gradient, rtol=1e-5, atol=1e-6)


def test_bfloat16_logits_lose_nothing_before_the_gradient():
    logits, target = case(4, True, torch.bfloat16)
    expected, _ = reference(logits, target, 0.1)
    loss, _ = criterion._SmoothedLoss.apply(logits, target, 0.1, PADDING)
    torch.testing.assert_close(loss, expected)
    (gradient,) = torch.autograd.grad(loss, logits)
    assert gradient.dtype == torch.bfloat16
