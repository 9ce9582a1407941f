"""Teachers: frozen Transformers whose word distributions a training learns from, beside its references."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import torch

from hat.fairseq_plugin.translation_model import HatModel

if TYPE_CHECKING:
    from hat.fairseq_plugin.trainer import HatTrainer
    from hat.models.translation import Transformer


class Teachers:
    """Gives each batch what `transformers` predict for it; their mean replaces the share `weight` of the references.

    They compute on the device and in the precision of the model that `trainer` trains, without dropout, and are no
    part of it: no checkpoint holds them.
    """

    def __init__(self, trainer: "HatTrainer", transformers: "Iterable[Transformer]", weight: float) -> None:
        task, student = trainer.task, trainer.get_model()
        parameter = next(student.parameters())
        dictionaries = task.source_dictionary, task.target_dictionary
        models = [HatModel(each, *dictionaries, student.autocast_bf16) for each in transformers]
        self._models = [model.to(parameter).eval().requires_grad_(False) for model in models]
        self._weight = weight

    @torch.no_grad()
    def added_to(self, sample: dict[str, Any]) -> dict[str, Any]:
        """The fairseq sample with `teachers` and `teacher_weight`, which our criterion reads."""
        inputs = {**sample["net_input"], "features_only": True}
        lessons = [(model(**inputs)[0], model.output_weight()) for model in self._models]
        return {**sample, "teachers": lessons, "teacher_weight": self._weight}
