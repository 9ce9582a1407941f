"""fairseq task and criterion `hat_language_modeling`: the next word, by a SuperTransformer's decoders, or by one."""

from collections.abc import Sequence
from typing import Any

import torch
from fairseq.criterions import FairseqCriterion, register_criterion
from fairseq.dataclass import FairseqDataclass
from fairseq.tasks import register_task
from torch import Tensor

from hat.fairseq_plugin.elastic_task import PreparedTask, PreparedTaskConfig
from hat.fairseq_plugin.language_model_data import IGNORED, TextSequences
from hat.fairseq_plugin.language_model_teachers import WrittenTeachers
from hat.fairseq_plugin.logged import log_losses


@register_task("hat_language_modeling", dataclass=PreparedTaskConfig)
class HatLanguageModelingTask(PreparedTask):
    """Batches of TextSequences."""

    teachers_class = WrittenTeachers
    target_padding = IGNORED

    def load_dataset(self, split: str, **_: Any) -> None:
        """Training sequences have no words before theirs; others have as many as any network of the space sees."""
        length, longest = self.experiment.data.max_length, self.experiment.search_space.decoder.context[-1]
        if split == "train":
            self.datasets[split] = TextSequences(self.prepared, split, length, seed=self.experiment.seed)
        else:
            self.datasets[split] = TextSequences(self.prepared, split, length, seen=longest - 1)


@register_criterion("hat_language_modeling", dataclass=FairseqDataclass)
class HatLanguageModelingCriterion(FairseqCriterion):
    """Negative log-likelihood, summed over words.

    With teachers, a sample holds their `labels`, the cross entropy with which has the share `teacher_weight`.
    """

    def forward(self, model: Any, sample: dict[str, Any], reduce: bool = True) -> tuple[Tensor, int, dict[str, Any]]:
        """(loss, number of words, what is logged) of a sample, in nats."""
        inputs, words = {**sample["net_input"], "target": sample["target"]}, sample["ntokens"]
        if "labels" in sample:
            nll, taught = (losses.sum() for losses in model(**inputs, labels=sample["labels"]))
            loss = torch.lerp(nll, taught, sample["teacher_weight"])
        else:
            loss = nll = model(**inputs).sum()
        logged = {"loss": loss.detach(), "nll_loss": nll.detach(), "ntokens": words, "sample_size": words}
        return loss, words, logged | {"nsentences": sample["nsentences"]}

    @classmethod
    def reduce_metrics(cls, logging_outputs: Sequence[dict[str, Any]]) -> None:
        words = sum(output["sample_size"] for output in logging_outputs)
        log_losses(logging_outputs, ("loss", "nll_loss"), words)

    @staticmethod
    def logging_outputs_can_be_summed() -> bool:
        return True
