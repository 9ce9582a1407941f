"""fairseq task `hat_translation`: translation that trains a SuperTransformer by the lessons of a strategy."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fairseq.tasks import register_task
from fairseq.tasks.translation import TranslationConfig, TranslationTask

from hat.fairseq_plugin.datasets import narrow_lengths
from hat.fairseq_plugin.elastic_task import ElasticTask, ElasticTaskConfig
from hat.fairseq_plugin.teachers import Teachers
from hat.models.translation_spec import ModelSpec

if TYPE_CHECKING:
    from fairseq.data import Dictionary


@dataclass
class HatTranslationConfig(TranslationConfig, ElasticTaskConfig):
    """fairseq's, and the experiment."""


@register_task("hat_translation", dataclass=HatTranslationConfig)
class HatTranslationTask(ElasticTask, TranslationTask):
    """fairseq's translation, elastic."""

    teachers_class = Teachers

    def __init__(self, cfg: Any, source_dictionary: "Dictionary", target_dictionary: "Dictionary") -> None:
        super().__init__(cfg, source_dictionary, target_dictionary)
        self.read_experiment(cfg)
        self.target_padding = target_dictionary.pad()

    def model_spec(self) -> ModelSpec:
        """The ModelSpec for this task's dictionaries."""
        return self.experiment.model_spec(len(self.source_dictionary), len(self.target_dictionary))

    def load_dataset(self, split: str, epoch: int = 1, combine: bool = False, **arguments: Any) -> None:
        super().load_dataset(split, epoch, combine, **arguments)
        narrow_lengths(self.datasets[split])
