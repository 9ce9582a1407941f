"""Cross entropy of a classifier, with label smoothing and teachers."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from fairseq.criterions import FairseqCriterion, register_criterion
from fairseq.dataclass import FairseqDataclass
from fairseq.logging import metrics
from torch import Tensor
from torch.nn import functional as F

from hat.fairseq_plugin.logged import log_losses


def hidden_loss(states: Sequence[Tensor], taught: Sequence[Tensor], present: Tensor) -> Tensor:
    """How far `states` are from a teacher's, in its first columns: mean squared difference, summed over texts.

    Both are lists of (batch, time, embed_dim), the embedding's first; each is held against the teacher's at the same
    share of the depth. The mean is over states, columns and the tokens that are `present` (batch, time).
    """
    total: Any
    total, tokens = 0.0, present.sum(dim=1)
    for index, state in enumerate(states):
        aim = taught[index * (len(taught) - 1) // (len(states) - 1)][..., : state.size(-1)]
        differences = (state.float() - aim.float()).square().mean(dim=-1)
        total = total + ((differences * present).sum(dim=1) / tokens).sum()
    return total / len(states)


@dataclass
class HatClassificationCriterionConfig(FairseqDataclass):
    label_smoothing: float = field(default=0.0, metadata={"help": "share of the probability spread over all labels"})


@register_criterion("hat_classification", dataclass=HatClassificationCriterionConfig)
class HatClassificationCriterion(FairseqCriterion):
    """Summed over texts. With teachers, a sample holds `teachers`, their logits (batch, labels), whose mean softmax
    takes the share `teacher_weight` of the target; `teacher_states` add the `hidden_loss`, by `hidden_weight`.
    """

    def __init__(self, task: Any, label_smoothing: float) -> None:
        super().__init__(task)
        self.label_smoothing = label_smoothing

    def forward(self, model: Any, sample: dict[str, Any], reduce: bool = True) -> tuple[Tensor, int, dict[str, Any]]:
        """(loss, number of texts, what is logged) of a sample, in nats."""
        inputs, target, states = sample["net_input"], sample["target"], None
        if "teacher_states" in sample:
            logits, states = model(**inputs, with_states=True)
        else:
            logits = model(**inputs)
        logits = logits.float()
        nll = F.cross_entropy(logits, target, reduction="sum")
        loss = F.cross_entropy(logits, target, label_smoothing=self.label_smoothing, reduction="sum")
        if sample.get("teachers"):
            taught = torch.stack([each.float().softmax(-1) for each in sample["teachers"]]).mean(0)
            weight = sample["teacher_weight"]
            loss = (1 - weight) * loss + weight * F.cross_entropy(logits, taught, reduction="sum")
        for taught in sample.get("teacher_states", ()):
            share = sample["hidden_weight"] / len(sample["teacher_states"])
            loss = loss + share * hidden_loss(states, taught, sample["present"])
        texts = len(target)
        logged = {"loss": loss.detach(), "nll_loss": nll.detach(), "ntokens": texts, "nsentences": texts}
        logged["correct"] = logits.argmax(-1).eq(target).sum()
        return loss, texts, logged | {"sample_size": texts}

    @classmethod
    def reduce_metrics(cls, logging_outputs: Sequence[dict[str, Any]]) -> None:
        texts = sum(output["sample_size"] for output in logging_outputs)
        log_losses(logging_outputs, ("loss", "nll_loss"), texts)
        metrics.log_scalar("accuracy", sum(output["correct"] for output in logging_outputs) / texts, texts)

    @staticmethod
    def logging_outputs_can_be_summed() -> bool:
        return True
