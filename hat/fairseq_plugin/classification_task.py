"""fairseq task `hat_classification`: classification of texts by a SuperTransformer's encoders, or by one."""

from dataclasses import dataclass, field
from typing import Any, Optional

from fairseq.tasks import FairseqTask, register_task

from hat.fairseq_plugin.classification_data import LabelledTexts
from hat.fairseq_plugin.classification_teachers import LabelTeachers
from hat.fairseq_plugin.elastic_task import ElasticTask, ElasticTaskConfig
from hat.models.classifier_spec import ClassifierSpec
from hat.tasks import task_of


@dataclass
class HatClassificationConfig(ElasticTaskConfig):
    data: Optional[str] = field(default=None, metadata={"help": "folder that hat-prepare made"})  # noqa: UP045


@register_task("hat_classification", dataclass=HatClassificationConfig)
class HatClassificationTask(ElasticTask, FairseqTask):
    """Batches of LabelledTexts; `source_dictionary` and `target_dictionary` are none."""

    teachers_class = LabelTeachers
    target_padding = -1  # every target counts
    source_dictionary = target_dictionary = None

    def __init__(self, cfg: Any) -> None:
        super().__init__(cfg)
        self.read_experiment(cfg)
        self.prepared = task_of(self.experiment).prepared(cfg.data)

    @classmethod
    def setup_task(cls, cfg: Any, **_: Any) -> "HatClassificationTask":
        return cls(cfg)

    def model_spec(self) -> ClassifierSpec:
        """The ClassifierSpec of this task's data."""
        return task_of(self.experiment).spec(self.experiment, self.prepared)

    def load_dataset(self, split: str, **_: Any) -> None:
        self.datasets[split] = LabelledTexts(self.prepared, split, shuffle=split == "train")

    def max_positions(self) -> None:
        return None  # no text is longer than the preparation lets it be
