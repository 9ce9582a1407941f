"""Cross entropy of a classifier, with label smoothing and teachers."""

import math
from dataclasses import dataclass, field

import torch
from fairseq.criterions import FairseqCriterion, register_criterion
from fairseq.dataclass import FairseqDataclass
from fairseq.logging import metrics
from torch.nn import functional as F


@dataclass
class HatClassificationCriterionConfig(FairseqDataclass):
    label_smoothing: float = field(default=0.0, metadata={"help": "share of the probability spread over all labels"})


@register_criterion("hat_classification", dataclass=HatClassificationCriterionConfig)
class HatClassificationCriterion(FairseqCriterion):
    """Summed over texts. With teachers, a sample holds `teachers`, their logits (batch, labels), whose mean softmax
    takes the share `teacher_weight` of the target.
    """

    def __init__(self, task, label_smoothing):
        super().__init__(task)
        self.label_smoothing = label_smoothing

    def forward(self, model, sample, reduce=True):
        """(loss, number of texts, what is logged) of a sample, in nats."""
        logits, target = model(**sample["net_input"]).float(), sample["target"]
        nll = F.cross_entropy(logits, target, reduction="sum")
        loss = F.cross_entropy(logits, target, label_smoothing=self.label_smoothing, reduction="sum")
        if sample.get("teachers"):
            taught = torch.stack([each.float().softmax(-1) for each in sample["teachers"]]).mean(0)
            weight = sample["teacher_weight"]
            loss = (1 - weight) * loss + weight * F.cross_entropy(logits, taught, reduction="sum")
        texts = len(target)
        logged = {"loss": loss.detach(), "nll_loss": nll.detach(), "ntokens": texts, "nsentences": texts}
        logged["correct"] = logits.argmax(-1).eq(target).sum()
        return loss, texts, logged | {"sample_size": texts}

    @classmethod
    def reduce_metrics(cls, logging_outputs):
        texts = sum(output["sample_size"] for output in logging_outputs)
        for name in ("loss", "nll_loss"):
            total = sum(output[name] for output in logging_outputs)
            metrics.log_scalar(name, total / texts / math.log(2), texts)
        metrics.log_scalar("accuracy", sum(output["correct"] for output in logging_outputs) / texts, texts)

    @staticmethod
    def logging_outputs_can_be_summed():
        return True
