"""fairseq's label-smoothed cross entropy, fused with the output product: no tensor of all logits is passed over."""

from dataclasses import dataclass, field

import torch
from fairseq.criterions import register_criterion
from fairseq.criterions.label_smoothed_cross_entropy import LabelSmoothedCrossEntropyCriterion
from fairseq.dataclass import FairseqDataclass
from omegaconf import II

# Logits worked on at a time: few enough on CPUs for their cache, many enough on GPUs to fill them.
LOGITS_AT_A_TIME = {"cpu": 2**20, "cuda": 2**26}


class SmoothedLoss(torch.autograd.Function):
    """Sum over tokens of (1 - eps - s) * nll + s * sum_v(-log p_v), with s = eps / (V - 1), as fairseq defines it.

    The gradient by the logits, p - s - (1 - eps - s) * onehot(target), is worked out with the loss, while the logits
    of a few tokens are at hand; softmax and sums are float32, products have the features' type.
    """

    @staticmethod
    def forward(ctx, features, table, target, epsilon, with_gradient):
        """features (tokens, dim), table (V, dim), target (tokens,) -> (smoothed loss, nll), summed over tokens"""
        tokens, vocabulary = len(target), len(table)
        share = epsilon / (vocabulary - 1)
        gradient = features.new_empty(tokens, vocabulary) if with_gradient else None
        nll = spread = torch.zeros((), device=features.device)
        step = max(1, LOGITS_AT_A_TIME[features.device.type] // vocabulary)
        for start in range(0, tokens, step):
            part = slice(start, start + step)
            log_probs = torch.log_softmax(features[part] @ table.t(), dim=-1, dtype=torch.float)
            nll = nll - log_probs.gather(1, target[part, None]).sum()
            spread = spread - log_probs.sum()
            if with_gradient:
                probs = log_probs.exp_().sub_(share)
                probs[torch.arange(len(probs)), target[part]] -= 1.0 - epsilon - share
                gradient[part] = probs
        ctx.save_for_backward(features, table, gradient)
        ctx.mark_non_differentiable(nll)
        return (1.0 - epsilon - share) * nll + share * spread, nll

    @staticmethod
    def backward(ctx, grad_loss, _grad_nll):
        features, table, gradient = ctx.saved_tensors
        return (gradient @ table).mul_(grad_loss), (gradient.t() @ features).mul_(grad_loss), None, None, None


@dataclass
class HatLabelSmoothedCrossEntropyConfig(FairseqDataclass):
    label_smoothing: float = field(default=0.0, metadata={"help": "share of the probability spread over all tokens"})
    sentence_avg: bool = II("optimization.sentence_avg")


@register_criterion("hat_label_smoothed_cross_entropy", dataclass=HatLabelSmoothedCrossEntropyConfig)
class HatLabelSmoothedCrossEntropy(LabelSmoothedCrossEntropyCriterion):
    """`label_smoothed_cross_entropy` of a HatModel, fused as above; values and logging are fairseq's."""

    def __init__(self, task, sentence_avg, label_smoothing):
        super().__init__(task, sentence_avg, label_smoothing)

    def forward(self, model, sample, reduce=True):
        inputs = {**sample["net_input"], "features_only": True}
        return super().forward(model, {**sample, "net_input": inputs}, reduce)

    def compute_loss(self, model, net_output, sample, reduce=True):
        target = sample["target"].flatten()
        kept = target.ne(self.padding_idx).nonzero().squeeze(1)
        features = net_output[0].flatten(0, 1).index_select(0, kept)
        table = model.output_weight()
        if model.autocast_bf16:
            features, table = features.bfloat16(), table.bfloat16()
        return SmoothedLoss.apply(features, table, target[kept], self.eps, torch.is_grad_enabled())
