"""Whether a bundle classifies as its PyTorch model does, texts by themselves and in padded batches."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hat.config import to_mapping
from hat.deploy.classifier import Classifier, graph_inputs
from hat.errors import ArtifactError

LOGIT_TOLERANCE = 1e-4


class ClassifierReference:
    """What PyTorch's `model` (a `hat.models.classification.Classifier`) makes of `sequences` (token ids)."""

    def __init__(self, model: Any, sequences: Sequence[Sequence[int]]) -> None:
        import torch

        spec, self._sequences = to_mapping(model.spec), sequences
        model.eval()
        with torch.inference_mode():
            rows = [
                model(**{name: torch.from_numpy(array) for name, array in graph_inputs([ids], spec).items()})
                for ids in sequences
            ]
        self._logits = torch.cat(rows).float().numpy()

    def judge(self, bundle: Path | str, exact: bool) -> dict[str, Any]:
        """`compare`; raises ArtifactError if `exact` and a logit differs by more than LOGIT_TOLERANCE."""
        result = self.compare(bundle)
        difference = result["largest_logit_difference"]
        if exact and not difference <= LOGIT_TOLERANCE:  # so that NaN fails
            raise ArtifactError(
                f"the exported graph differs from PyTorch by {difference:.1e} in a logit (at most "
                f"{LOGIT_TOLERANCE:.0e} is allowed); nothing was replaced; please report this with the architecture"
            )
        return result

    def compare(self, bundle: Path | str) -> dict[str, Any]:
        """Agreement of the bundle in folder `bundle` with PyTorch, as a dictionary."""
        alone = Classifier(bundle, batch_tokens=1).logits(self._sequences)
        together = Classifier(bundle).logits(self._sequences)
        return {
            "texts": len(self._sequences),
            "same_label": int((alone.argmax(axis=1) == self._logits.argmax(axis=1)).sum()),
            "largest_logit_difference": float(np.max(np.abs(np.stack([alone, together]) - self._logits))),
        }

    @staticmethod
    def describe(result: dict[str, Any]) -> str:
        """One line for the user."""
        return (
            f"labels {result['same_label']} of {result['texts']} validation texts as PyTorch does "
            f"(logits within {result['largest_logit_difference']:.1e})"
        )
