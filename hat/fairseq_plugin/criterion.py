"""fairseq's label-smoothed cross entropy, fused with the output product: no tensor of all logits is passed over."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from fairseq.criterions import register_criterion
from fairseq.criterions.label_smoothed_cross_entropy import LabelSmoothedCrossEntropyCriterion
from fairseq.dataclass import FairseqDataclass
from omegaconf import II
from torch import Tensor

# Tokens whose logits are there at a time: enough to pay for a pass over the table's gradient, few enough for memory.
TOKENS_AT_A_TIME = {"cpu": 256, "cuda": 2048}


class SmoothedLoss(torch.autograd.Function):
    """Cross entropy with a soft target, summed over tokens, with its gradients worked out in the same pass.

    The target is fairseq's smoothed one, s = eps / (V - 1) everywhere and 1 - eps at the reference, of which `weight`
    is replaced by the mean of the teachers' softmax (Hinton et al. 2015, at temperature 1). The gradient by the logits,
    p - target, and its products with table and features are worked out while the logits of a few tokens are at hand;
    what waits for the backward pass has the size of features and table. Products have the features' type; softmax, sums
    and the table's gradient, which is a sum over all tokens, are float32.
    """

    @staticmethod
    def forward(
        ctx: Any,
        features: Tensor,
        table: Tensor,
        target: Tensor,
        epsilon: float,
        with_gradient: bool,
        teachers: Sequence[tuple[Tensor, Tensor]] = (),
        weight: float = 0.0,
    ) -> tuple[Tensor, Tensor]:
        """features (tokens, dim), table (V, dim), target (tokens,), teachers: pairs (features, table) like these

        -> (loss, negative log-likelihood of the references), both summed over tokens, in nats
        """
        share = epsilon / (len(table) - 1)
        given = 1.0 - weight if teachers else 1.0  # what of the target the references give
        product_table = table.to(features.dtype)
        teachers = [(inputs, outputs.to(inputs.dtype)) for inputs, outputs in teachers]
        by_features = torch.empty_like(features) if with_gradient else None
        by_table = torch.zeros_like(table, dtype=torch.float) if with_gradient else None
        nll = spread = taught = torch.zeros((), device=features.device)
        for part in _parts(features):
            log_probs = _log_softmax(features[part], product_table)
            reference = target[part, None]
            nll = nll - log_probs.gather(1, reference).sum()
            spread = spread - log_probs.sum()
            lesson = weight * _mean_softmax(teachers, part) if teachers else None
            if teachers:
                taught = taught - (lesson * log_probs).sum()
            if with_gradient:
                error = log_probs.exp_().sub_(given * share)
                error.scatter_add_(1, reference, error.new_full(reference.shape, -given * (1.0 - epsilon - share)))
                error = (error if lesson is None else error.sub_(lesson)).to(features.dtype)
                by_features[part] = error @ product_table
                _add_product(by_table, error.t(), features[part])
        ctx.save_for_backward(by_features, by_table)
        ctx.mark_non_differentiable(nll)
        return given * ((1.0 - epsilon - share) * nll + share * spread) + taught, nll

    @staticmethod
    def backward(ctx: Any, grad_loss: Tensor, _grad_nll: Tensor) -> tuple[Any, ...]:
        by_features, by_table = ctx.saved_tensors
        return by_features.mul_(grad_loss), by_table.mul_(grad_loss), None, None, None, None, None


def _parts(features: Tensor) -> list[slice]:
    step = TOKENS_AT_A_TIME[features.device.type]
    return [slice(start, start + step) for start in range(0, len(features), step)]


def _add_product(total: Tensor, left: Tensor, right: Tensor) -> None:
    """Add left @ right to `total`, which may be of a wider type; where it isn't, without another tensor of its size."""
    if total.dtype == left.dtype:
        total.addmm_(left, right)
    else:
        total += left @ right


def _log_softmax(features: Tensor, table: Tensor) -> Tensor:
    return torch.log_softmax(features @ table.t(), dim=-1, dtype=torch.float)


def _mean_softmax(teachers: Sequence[tuple[Tensor, Tensor]], part: slice) -> Any:
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

    def __init__(self, task: Any, sentence_avg: bool, label_smoothing: float) -> None:
        super().__init__(task, sentence_avg, label_smoothing)

    def forward(self, model: Any, sample: dict[str, Any], reduce: bool = True) -> tuple[Any, ...]:
        inputs = {**sample["net_input"], "features_only": True}
        return super().forward(model, {**sample, "net_input": inputs}, reduce)

    def compute_loss(self, model: Any, net_output: Any, sample: dict[str, Any], reduce: bool = True) -> Any:
        target = sample["target"].flatten()
        kept = target.ne(self.padding_idx).nonzero().squeeze(1)
        pairs = [(net_output[0], model.output_weight()), *sample.get("teachers", ())]
        if model.autocast_bf16:
            pairs = [(features.bfloat16(), table) for features, table in pairs]
        (features, table), *teachers = [
            (features.flatten(0, 1).index_select(0, kept), table) for features, table in pairs
        ]
        weight = sample.get("teacher_weight", 0.0)
        return SmoothedLoss.apply(features, table, target[kept], self.eps, torch.is_grad_enabled(), teachers, weight)
