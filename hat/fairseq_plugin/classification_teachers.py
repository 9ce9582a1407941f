"""Teachers of classifiers: frozen networks whose probabilities a training learns from, beside the labels."""

import torch

from hat.fairseq_plugin.classification_model import HatClassifier


class LabelTeachers:
    """Gives each batch what `classifiers` make of it; their mean softmax replaces the share `weight` of the labels.

    They compute on the device and in the precision of the model that `trainer` trains, without dropout, and are no
    part of it: no checkpoint holds them.
    """

    def __init__(self, trainer, classifiers, weight):
        student = trainer.get_model()
        parameter = next(student.parameters())
        models = [HatClassifier(each, student.autocast_bf16) for each in classifiers]
        self._models = [model.to(parameter).eval().requires_grad_(False) for model in models]
        self._weight = weight

    @torch.no_grad()
    def added_to(self, sample):
        """The fairseq sample with `teachers`, logits, and `teacher_weight`, which our criterion reads."""
        logits = [model(**sample["net_input"]) for model in self._models]
        return {**sample, "teachers": logits, "teacher_weight": self._weight}
