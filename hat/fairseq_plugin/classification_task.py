"""fairseq task `hat_classification`: classification of texts by a SuperTransformer's encoders, or by one."""

from typing import Any

from fairseq.tasks import register_task

from hat.fairseq_plugin.classification_data import LabelledTexts
from hat.fairseq_plugin.classification_teachers import LabelTeachers
from hat.fairseq_plugin.elastic_task import PreparedTask, PreparedTaskConfig


@register_task("hat_classification", dataclass=PreparedTaskConfig)
class HatClassificationTask(PreparedTask):
    """Batches of LabelledTexts."""

    teachers_class = LabelTeachers
    target_padding = -1  # every target counts

    def load_dataset(self, split: str, **_: Any) -> None:
        self.datasets[split] = LabelledTexts(self.prepared, split, shuffle=split == "train")
