"""fairseq task and criterion `hat_language_modeling`: the next word, by a SuperTransformer's decoders, or by one."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Optional

from fairseq.criterions import FairseqCriterion, register_criterion
from fairseq.dataclass import FairseqDataclass
from fairseq.logging import metrics
from fairseq.tasks import FairseqTask, register_task
from torch import Tensor

from hat.fairseq_plugin.elastic_task import ElasticTask, ElasticTaskConfig
from hat.fairseq_plugin.language_model_data import IGNORED, TextSequences
from hat.models.language_model_spec import LanguageModelSpec
from hat.tasks import task_of


@dataclass
class HatLanguageModelingConfig(ElasticTaskConfig):
    data: Optional[str] = field(default=None, metadata={"help": "folder that hat-prepare made"})  # noqa: UP045


@register_task("hat_language_modeling", dataclass=HatLanguageModelingConfig)
class HatLanguageModelingTask(ElasticTask, FairseqTask):
    """Batches of TextSequences; `source_dictionary` and `target_dictionary` are none."""

    target_padding = IGNORED
    source_dictionary = target_dictionary = None

    def __init__(self, cfg: Any) -> None:
        super().__init__(cfg)
        self.read_experiment(cfg)
        self.prepared = task_of(self.experiment).prepared(cfg.data)

    @classmethod
    def setup_task(cls, cfg: Any, **_: Any) -> "HatLanguageModelingTask":
        return cls(cfg)

    def model_spec(self) -> LanguageModelSpec:
        """The LanguageModelSpec of this task's data."""
        return task_of(self.experiment).spec(self.experiment, self.prepared)

    def load_dataset(self, split: str, **_: Any) -> None:
        """Training sequences have no words before theirs; others have as many as any network of the space sees."""
        length, longest = self.experiment.data.max_length, self.experiment.search_space.decoder.context[-1]
        if split == "train":
            self.datasets[split] = TextSequences(self.prepared, split, length, seed=self.experiment.seed)
        else:
            self.datasets[split] = TextSequences(self.prepared, split, length, seen=longest - 1)

    def max_positions(self) -> None:
        return None  # no sequence is longer than data.max_length


@register_criterion("hat_language_modeling", dataclass=FairseqDataclass)
class HatLanguageModelingCriterion(FairseqCriterion):
    """Negative log-likelihood, summed over words."""

    def forward(self, model: Any, sample: dict[str, Any], reduce: bool = True) -> tuple[Tensor, int, dict[str, Any]]:
        """(loss, number of words, what is logged) of a sample, in nats."""
        loss, words = model(**sample["net_input"], target=sample["target"]).sum(), sample["ntokens"]
        logged = {"loss": loss.detach(), "nll_loss": loss.detach(), "ntokens": words, "sample_size": words}
        return loss, words, logged | {"nsentences": sample["nsentences"]}

    @classmethod
    def reduce_metrics(cls, logging_outputs: Sequence[dict[str, Any]]) -> None:
        words = sum(output["sample_size"] for output in logging_outputs)
        for name in ("loss", "nll_loss"):
            total = sum(output[name] for output in logging_outputs)
            metrics.log_scalar(name, total / words / math.log(2), words)

    @staticmethod
    def logging_outputs_can_be_summed() -> bool:
        return True
