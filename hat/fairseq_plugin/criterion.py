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
    """Cross entropy with a soft target, summed over tokens, with its gradient worked out in the same pass.

    The target is fairseq's smoothed one, s = eps / (V - 1) everywhere and 1 - eps at the reference, of which `weight`
    is replaced by the mean of the teachers' softmax (Hinton et al. 2015, at temperature 1). The gradient by the logits,
    p - target, is worked out while the logits of a few tokens are at hand; softmax and sums are float32, products have
    the features' type.
    """

    @staticmethod
    def forward(ctx, features, table, target, epsilon, with_gradient, teachers=(), weight=0.0):
        """features (tokens, dim), table (V, dim), target (tokens,), teachers: pairs (features, table) like these

        -> (loss, negative log-likelihood of the references), both summed over tokens, in nats
        """
        tokens, vocabulary = len(target), len(table)
        share = epsilon / (vocabulary - 1)
        given = 1.0 - weight if teachers else 1.0  # what of the target the references give
        gradient = features.new_empty(tokens, vocabulary) if with_gradient else None
        nll = spread = taught = torch.zeros((), device=features.device)
        step = max(1, LOGITS_AT_A_TIME[features.device.type] // vocabulary)
        for start in range(0, tokens, step):
            part = slice(start, start + step)
            log_probs = _log_softmax(features[part], table)
            nll = nll - log_probs.gather(1, target[part, None]).sum()
            spread = spread - log_probs.sum()
            lesson = weight * _mean_softmax(teachers, part) if teachers else None
            if teachers:
                taught = taught - (lesson * log_probs).sum()
            if with_gradient:
                probs = log_probs.exp_().sub_(given * share)
                probs[torch.arange(len(probs)), target[part]] -= given * (1.0 - epsilon - share)
                gradient[part] = probs if lesson is None else probs.sub_(lesson)
        ctx.save_for_backward(features, table, gradient)
        ctx.mark_non_differentiable(nll)
        return given * ((1.0 - epsilon - share) * nll + share * spread) + taught, nll

    @staticmethod
    def backward(ctx, grad_loss, _grad_nll):
        features, table, gradient = ctx.saved_tensors
        by_features, by_table = (gradient @ table).mul_(grad_loss), (gradient.t() @ features).mul_(grad_loss)
        return by_features, by_table, None, None, None, None, None


def _log_softmax(features, table):
    return torch.log_softmax(features @ table.t(), dim=-1, dtype=torch.float)


def _mean_softmax(teachers, part):
    """The teachers' mean word distribution (tokens, V) for the tokens `part`, float32."""
    return sum(_log_softmax(features[part], table).exp_() for features, table in teachers) / len(teachers)


@dataclass
class HatLabelSmoothedCrossEntropyConfig(FairseqDataclass):
    label_smoothing: float = field(default=0.0, metadata={"help": "share of the probability spread over all tokens"})
    sentence_avg: bool = II("optimization.sentence_avg")


@register_criterion("hat_label_smoothed_cross_entropy", dataclass=HatLabelSmoothedCrossEntropyConfig)
class HatLabelSmoothedCrossEntropy(LabelSmoothedCrossEntropyCriterion):
    """`label_smoothed_cross_entropy` of a HatModel, fused as above; values and logging are fairseq's.

    With teachers, a sample holds `teachers`, pairs of features (batch, time, dim) and output table (V, dim), and
    `teacher_weight`, their share of the target.
    """

    def __init__(self, task, sentence_avg, label_smoothing):
        super().__init__(task, sentence_avg, label_smoothing)

    def forward(self, model, sample, reduce=True):
        inputs = {**sample["net_input"], "features_only": True}
        return super().forward(model, {**sample, "net_input": inputs}, reduce)

    def compute_loss(self, model, net_output, sample, reduce=True):
        target = sample["target"].flatten()
        kept = target.ne(self.padding_idx).nonzero().squeeze(1)
        pairs = [(net_output[0], model.output_weight()), *sample.get("teachers", ())]
        if model.autocast_bf16:
            pairs = [(features.bfloat16(), table.bfloat16()) for features, table in pairs]
        (features, table), *teachers = [
            (features.flatten(0, 1).index_select(0, kept), table) for features, table in pairs
        ]
        weight = sample.get("teacher_weight", 0.0)
        return SmoothedLoss.apply(features, table, target[kept], self.eps, torch.is_grad_enabled(), teachers, weight)
