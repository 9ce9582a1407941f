"""fairseq's view of our classifiers: `hat_superclassifier` and `hat_classifier`, for its trainer."""

from typing import Any

import torch
from fairseq.models import BaseFairseqModel, register_model
from torch import Tensor

from hat.architecture.stacks import Architecture
from hat.fairseq_plugin.model_config import HatModelConfig, HatTransformerConfig, chosen_architecture
from hat.models.classification import Classifier, SuperClassifier


class HatClassifier(BaseFairseqModel):
    """A Classifier or SuperClassifier (`.transformer`, which holds all weights) as a fairseq model."""

    def __init__(self, classifier: Classifier, autocast_bf16: bool = False) -> None:
        super().__init__()
        self.transformer = classifier
        self.autocast_bf16 = autocast_bf16

    def forward(self, tokens: Tensor, segments: Tensor | None = None, with_states: bool = False) -> Any:
        """Tokens (batch, time) -> logits (batch, labels), or (logits, hidden states); see `Classifier.states`."""
        with torch.autocast(tokens.device.type, torch.bfloat16, enabled=self.autocast_bf16):
            states = self.transformer.states(tokens, segments)
            logits = self.transformer.classify(states[-1])
        return (logits, states) if with_states else logits

    def max_positions(self) -> int:
        return self.transformer.spec.max_positions


@register_model("hat_superclassifier", dataclass=HatModelConfig)
class HatSuperClassifierModel(HatClassifier):
    """The SuperTransformer of the task's search space."""

    transformer: SuperClassifier

    @classmethod
    def build_model(cls, cfg: Any, task: Any) -> "HatSuperClassifierModel":
        return cls(SuperClassifier(task.experiment.search_space, task.model_spec()), cfg.autocast_bf16)

    def activate(self, architecture: Architecture) -> None:
        """Compute this SubTransformer from now on."""
        self.transformer.activate(architecture)


@register_model("hat_classifier", dataclass=HatTransformerConfig)
class HatClassifierModel(HatClassifier):
    """One standalone classifier."""

    @classmethod
    def build_model(cls, cfg: Any, task: Any) -> "HatClassifierModel":
        return cls(Classifier(chosen_architecture(cfg, task.experiment), task.model_spec()), cfg.autocast_bf16)
