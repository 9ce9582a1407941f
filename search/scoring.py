"""The loss that the search minimises: validation NLL with weights inherited from the SuperTransformer."""

import math

import torch
from torch.nn import functional as F

from hat.errors import ArtifactError


class InheritedLoss:
    """Architecture -> negative log-likelihood in nats per target token, of a SuperTransformer's SubTransformer.

    `batches` have `src_tokens`, `prev_output_tokens` and `target`, int64 (batch, time), padded. Raises
    ArtifactError if the loss isn't finite.
    """

    def __init__(self, supertransformer, batches, device="cpu"):
        self._model = supertransformer.to(device).eval()
        self._batches = [
            tuple(tokens.to(device) for tokens in (batch.src_tokens, batch.prev_output_tokens, batch.target))
            for batch in batches
        ]
        self._padding = supertransformer.spec.padding

    def __call__(self, architecture):
        self._model.activate(architecture)
        nats, tokens = 0.0, 0
        with torch.inference_mode():
            for src_tokens, prev_output_tokens, target in self._batches:
                logits = self._model(src_tokens, prev_output_tokens)  # (batch, time, vocabulary)
                nats += F.cross_entropy(
                    logits.flatten(0, 1), target.flatten(), ignore_index=self._padding, reduction="sum"
                ).item()
                tokens += int((target != self._padding).sum())
        if not math.isfinite(nats):
            raise ArtifactError(
                "the SuperTransformer's validation loss is not a number: its training diverged; "
                "train it again in a new run directory with a lower super_training.lr"
            )
        return nats / tokens
