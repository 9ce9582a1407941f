"""Teachers of language models: what they wrote about each word of the text, looked up for each batch."""

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

if TYPE_CHECKING:
    from hat.fairseq_plugin.trainer import HatTrainer
    from hat.training.teacher_labels import TeacherLabels


class WrittenTeachers:
    """Gives each batch the TeacherLabels of its words, and the share of the loss that they have.

    The share goes evenly from `first` in the first update to `last` in the last one (teacher annealing).
    """

    def __init__(self, trainer: "HatTrainer", labels: "TeacherLabels", first: float, last: float) -> None:
        self._trainer, self._labels, self._first, self._last = trainer, labels, first, last

    def added_to(self, sample: dict[str, Any]) -> dict[str, Any]:
        """The fairseq sample with what our criterion reads: `labels`, words and their probabilities (batch, time, k),
        and `teacher_weight`.
        """
        target = sample["target"]
        places = np.add.outer(sample["begins"], np.arange(target.size(1)))
        places = np.minimum(places, len(self._labels) - 1)  # beyond are those that are filled up, and ignored
        words, probabilities = self._labels.at(places)
        labels = (
            torch.from_numpy(words.astype(np.int64)).to(target.device),
            torch.from_numpy(probabilities.astype(np.float32)).to(target.device),
        )
        return {**sample, "labels": labels, "teacher_weight": self._share()}

    def _share(self) -> float:
        last_update = max(1, self._trainer.cfg.optimization.max_update - 1)
        done = min(1.0, self._trainer.get_num_updates() / last_update)
        return self._first + (self._last - self._first) * done
