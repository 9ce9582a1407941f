"""Teachers of classifiers: frozen networks whose probabilities a training learns from, beside the labels."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import torch

from hat.fairseq_plugin.classification_model import HatClassifier

if TYPE_CHECKING:
    from hat.fairseq_plugin.trainer import HatTrainer
    from hat.models.classification import Classifier


class LabelTeachers:
    """Gives each batch what `classifiers` make of it; their mean softmax replaces the share `weight` of the labels.

    They compute on the device and in the precision of the model that `trainer` trains, without dropout, and are no
    part of it: no checkpoint holds them. With `hidden_weight` they give their hidden states too.
    """

    def __init__(
        self, trainer: "HatTrainer", classifiers: "Iterable[Classifier]", weight: float, hidden_weight: float = 0.0
    ) -> None:
        student = trainer.get_model()
        parameter = next(student.parameters())
        models = [HatClassifier(each, student.autocast_bf16) for each in classifiers]
        self._models = [model.to(parameter).eval().requires_grad_(False) for model in models]
        self._weight, self._hidden_weight = weight, hidden_weight

    @torch.no_grad()
    def added_to(self, sample: dict[str, Any]) -> dict[str, Any]:
        """The fairseq sample with what our criterion reads: `teachers`, logits, and `teacher_weight`.

        With a weight of hidden states also `teacher_states`, `hidden_weight`, and `present`, which tells tokens from
        padding, (batch, time).
        """
        answers = [model(**sample["net_input"], with_states=True) for model in self._models]
        taught = {**sample, "teachers": [logits for logits, _ in answers], "teacher_weight": self._weight}
        if self._hidden_weight:
            present = sample["net_input"]["tokens"].ne(self._models[0].transformer.spec.padding)
            states = [states for _, states in answers]
            taught |= {"teacher_states": states, "hidden_weight": self._hidden_weight, "present": present}
        return taught
