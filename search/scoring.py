"""The loss that the search minimises: validation NLL with weights inherited from the SuperTransformer."""

import copy
import math
from dataclasses import dataclass

import torch

from hat.errors import ArtifactError
from hat.fairseq_plugin.criterion import SmoothedLoss


class InheritedLoss:
    """(Architecture, part) -> (negative log-likelihood in nats, target tokens that it is summed over).

    The weights are those that a SuperTransformer lends. `parts` are lists of batches, which have `src_tokens`,
    `prev_output_tokens` and `target`, int64 (batch, time), padded. Raises ArtifactError if the loss isn't finite.
    """

    def __init__(self, supertransformer, parts, device="cpu"):
        self._model = supertransformer.to(device).eval()
        padding = supertransformer.spec.padding
        self._parts = [[_scored_batch(batch, padding, device) for batch in part] for part in parts]

    def __call__(self, architecture, part):
        batches = self._parts[part]
        if not batches:
            return 0.0, 0
        self._model.activate(architecture)
        with torch.inference_mode():
            nats = torch.stack([self._nats(batch) for batch in batches]).double().sum().item()
        if not math.isfinite(nats):
            raise ArtifactError(
                "the SuperTransformer's validation loss is not a number: its training diverged; "
                "train it again in a new run directory with a lower super_training.lr"
            )
        return nats, sum(len(batch.target) for batch in batches)

    def twin(self):
        """Another one that can compute at the same time; weights and batches are in memory once."""
        other, shared = copy.copy(self), [*self._model.parameters(), *self._model.buffers()]
        other._model = copy.deepcopy(self._model, {id(tensor): tensor for tensor in shared})
        return other

    def _nats(self, batch):
        """Summed over the batch's target tokens, left on the device."""
        encoder, decoder = self._model.encoder, self._model.decoder
        encoded = encoder(batch.src_tokens, padded=batch.source_padded)
        features = decoder.features(batch.prev_output_tokens, encoded).flatten(0, 1).index_select(0, batch.kept)
        return SmoothedLoss.apply(features, decoder.output_weight(), batch.target, 0.0, False)[1]


@dataclass(frozen=True)
class _ScoredBatch:
    """What can be known of a batch once for all candidates, so that scoring waits for the device only at its end.

    `kept` (tokens,) are the places of `target` (tokens,) among the flattened, padded targets.
    """

    src_tokens: torch.Tensor
    prev_output_tokens: torch.Tensor
    source_padded: bool
    kept: torch.Tensor
    target: torch.Tensor


def _scored_batch(batch, padding, device):
    kept = batch.target.flatten().ne(padding).nonzero().squeeze(1)
    return _ScoredBatch(
        batch.src_tokens.to(device),
        batch.prev_output_tokens.to(device),
        bool(batch.src_tokens.eq(padding).any()),
        kept.to(device),
        batch.target.flatten()[kept].to(device),
    )
