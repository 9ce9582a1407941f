"""fairseq's view of our language models: `hat_superlanguagemodel` and `hat_languagemodel`, for its trainer."""

from collections.abc import Callable
from typing import Any

import torch
from fairseq.models import BaseFairseqModel, register_model
from torch import Tensor

from hat.architecture.stacks import Architecture
from hat.elastic.cache import mixed_losses
from hat.fairseq_plugin.language_model_data import IGNORED
from hat.fairseq_plugin.model_config import HatModelConfig, HatTransformerConfig, chosen_architecture
from hat.models.language_model import LanguageModel, SuperLanguageModel


class HatLanguageModel(BaseFairseqModel):
    """A LanguageModel or SuperLanguageModel (`.transformer`, which holds all weights) as a fairseq model."""

    def __init__(self, language_model: LanguageModel, autocast_bf16: bool = False) -> None:
        super().__init__()
        self.transformer = language_model
        self.autocast_bf16 = autocast_bf16
        self.observer: Callable[[Tensor, Tensor], None] | None = None  # in training, of features and targets

    def forward(self, words: Tensor, target: Tensor, labels: tuple[Tensor, Tensor] | None = None) -> Any:
        """words, target (batch, time) -> losses in nats of the targets that aren't IGNORED: (targets,), float32

        A cache looks at the states of each row. With a teacher's `labels`, words and their probabilities (batch, time,
        k), also the cross entropies with them, by the network without a cache.
        """
        kept = target.ne(IGNORED)
        with torch.autocast(words.device.type, torch.bfloat16, enabled=self.autocast_bf16):
            states = self.transformer(words)[0]
            features, output = states[kept], self.transformer.output
            if self.observer is not None and self.training:
                self.observer(features.detach(), target[kept])
            if labels is None:
                nll, taught = output.losses(features, target[kept]), None
            else:
                nll, taught = output.taught_losses(features, target[kept], *(each[kept] for each in labels))
        nll = nll.float()
        if self.transformer.cache is not None:
            nll = mixed_losses(nll, *(each[kept] for each in self.transformer.cache.look_up(states, target)))
        return nll if taught is None else (nll, taught.float())

    def max_positions(self) -> None:
        return None  # text of any length


@register_model("hat_superlanguagemodel", dataclass=HatModelConfig)
class HatSuperLanguageModelModel(HatLanguageModel):
    """The SuperTransformer of the task's search space."""

    transformer: SuperLanguageModel

    @classmethod
    def build_model(cls, cfg: Any, task: Any) -> "HatSuperLanguageModelModel":
        return cls(SuperLanguageModel(task.experiment.search_space, task.model_spec()), cfg.autocast_bf16)

    def activate(self, architecture: Architecture) -> None:
        """Compute this SubTransformer from now on."""
        self.transformer.activate(architecture)


@register_model("hat_languagemodel", dataclass=HatTransformerConfig)
class HatLanguageModelModel(HatLanguageModel):
    """One standalone language model."""

    @classmethod
    def build_model(cls, cfg: Any, task: Any) -> "HatLanguageModelModel":
        return cls(LanguageModel(chosen_architecture(cfg, task.experiment), task.model_spec()), cfg.autocast_bf16)
