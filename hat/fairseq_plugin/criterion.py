"""fairseq's label-smoothed cross entropy, the same value from fewer passes over (tokens, vocabulary)."""

import torch
from fairseq.criterions import register_criterion
from fairseq.criterions.label_smoothed_cross_entropy import (
    LabelSmoothedCrossEntropyCriterion,
    LabelSmoothedCrossEntropyCriterionConfig,
)


class _SmoothedLoss(torch.autograd.Function):
    """Sum over tokens of (1 - eps - s) * nll + s * sum_v(-log p_v), with s = eps / (V - 1), as fairseq defines it.

    Its gradient by the logits is p - s - (1 - eps - s) * onehot(target), computed in place of the log-probabilities.
    """

    @staticmethod
    def forward(ctx, logits, target, epsilon, padding):
        """logits (tokens, vocabulary), target (tokens,) -> (smoothed loss, negative log-likelihood), both summed"""
        log_probs = torch.log_softmax(logits, dim=-1, dtype=torch.float)
        share = epsilon / (logits.size(-1) - 1)
        kept = target.ne(padding)
        nll = -log_probs.gather(1, target.unsqueeze(1)).squeeze(1).masked_fill(~kept, 0.0).sum()
        spread = -log_probs.sum(dim=1).masked_fill(~kept, 0.0).sum() if epsilon else 0.0
        ctx.save_for_backward(log_probs, target, kept)
        ctx.share, ctx.epsilon, ctx.dtype = share, epsilon, logits.dtype
        ctx.mark_non_differentiable(nll)
        return (1.0 - epsilon - share) * nll + share * spread, nll

    @staticmethod
    def backward(ctx, grad_loss, _grad_nll):
        log_probs, target, kept = ctx.saved_tensors
        grad = log_probs.exp_()
        if ctx.epsilon:
            grad.sub_(ctx.share)
        grad[torch.arange(len(target)), target] -= 1.0 - ctx.epsilon - ctx.share
        if not bool(kept.all()):
            grad.mul_(kept.unsqueeze(1))
        return grad.mul_(grad_loss).to(ctx.dtype), None, None, None


@register_criterion("hat_label_smoothed_cross_entropy", dataclass=LabelSmoothedCrossEntropyCriterionConfig)
class HatLabelSmoothedCrossEntropy(LabelSmoothedCrossEntropyCriterion):
    """`label_smoothed_cross_entropy` with the fused loss above; values and logging are fairseq's."""

    def compute_loss(self, model, net_output, sample, reduce=True):
        logits = net_output[0]
        target = model.get_targets(sample, net_output)
        return _SmoothedLoss.apply(logits.view(-1, logits.size(-1)), target.view(-1), self.eps, self.padding_idx)
