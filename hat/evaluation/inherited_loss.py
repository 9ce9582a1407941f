"""The loss that the search minimises: validation NLL with weights inherited from the SuperTransformer.

That of a network trained by itself is computed alike.
"""

import abc
import copy
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.nn import functional as F

from hat.architecture.stacks import Architecture
from hat.elastic.cache import mixed_losses
from hat.errors import ArtifactError
from hat.fairseq_plugin.criterion import SmoothedLoss
from hat.fairseq_plugin.language_model_data import IGNORED

if TYPE_CHECKING:
    from hat.fairseq_plugin.classification_data import LabelledBatch
    from hat.fairseq_plugin.datasets import Batch


class _Inherited(abc.ABC):
    """(Architecture, part) -> (negative log-likelihood in nats, items that it is summed over).

    The weights are those that a SuperTransformer lends. `parts` are lists of batches. Raises ArtifactError if the loss
    isn't finite.
    """

    def __init__(self, network: Any, parts: Iterable[Iterable[Any]], device: str = "cpu") -> None:
        self._model = network.to(device).eval()
        self._parts = [[self._scored(batch, device) for batch in part] for part in parts]

    @abc.abstractmethod
    def _scored(self, batch: Any, device: str) -> Any:
        """What `_nats` takes, of which the length of `target` is the number of items."""

    @abc.abstractmethod
    def _nats(self, batch: Any) -> Tensor:
        """Summed over the batch's items, left on the device; it can be differentiated where gradients are enabled."""

    def __call__(self, architecture: Architecture, part: int) -> tuple[float, int]:
        batches = self._parts[part]
        if not batches:
            return 0.0, 0
        self._model.activate(architecture)
        nats, items = self._sums(batches)
        if not math.isfinite(nats):
            raise ArtifactError(
                "the SuperTransformer's validation loss is not a number: its training diverged; "
                "train it again in a new run directory with a lower super_training.lr"
            )
        return nats, items

    def mean(self) -> float:
        """Nats an item over all parts, finite or not, by the network as it is: also of one that lends no weights."""
        nats, items = self._sums([batch for part in self._parts for batch in part])
        return nats / items

    def gradients(self, part: int) -> dict[str, Tensor]:
        """{name of a weight: the gradient, by it, of nats an item over a part}, of the network as it is."""
        weights = dict(self._model.named_parameters())
        with torch.enable_grad():
            for batch in self._parts[part]:
                self._nats(batch).backward()
        items = sum(len(batch.target) for batch in self._parts[part])
        found = {name: weight.grad / items for name, weight in weights.items() if weight.grad is not None}
        self._model.zero_grad()
        return found

    def _sums(self, batches: Sequence[Any]) -> tuple[float, int]:
        with torch.inference_mode():
            nats = torch.stack([self._nats(batch) for batch in batches]).double().sum().item()
        return nats, sum(len(batch.target) for batch in batches)

    def twin(self) -> "_Inherited":
        """Another one that can compute at the same time; weights and batches are in memory once."""
        other, shared = copy.copy(self), [*self._model.parameters(), *self._model.buffers()]
        other._model = copy.deepcopy(self._model, {id(tensor): tensor for tensor in shared})
        return other


class InheritedLoss(_Inherited):
    """A translator's: items are target tokens; batches have `src_tokens`, `prev_output_tokens` and `target`, int64
    (batch, time), padded.
    """

    def _scored(self, batch: "Batch", device: str) -> "_ScoredBatch":
        return _scored_batch(batch, self._model.spec.padding, device)

    def _nats(self, batch: "_ScoredBatch") -> Tensor:
        encoder, decoder = self._model.encoder, self._model.decoder
        encoded = encoder(batch.src_tokens, padded=batch.source_padded)
        features = decoder.features(batch.prev_output_tokens, encoded).flatten(0, 1).index_select(0, batch.kept)
        return SmoothedLoss.apply(features, decoder.output_weight(), batch.target, 0.0, torch.is_grad_enabled())[0]


class InheritedLabelLoss(_Inherited):
    """A classifier's: items are texts; batches are LabelledBatches."""

    def _scored(self, batch: "LabelledBatch", device: str) -> "LabelledBatch":
        moved = {name: None if value is None else value.to(device) for name, value in vars(batch).items()}
        return type(batch)(**moved)

    def _nats(self, batch: "LabelledBatch") -> Tensor:
        return F.cross_entropy(self._model(batch.tokens, batch.segments), batch.target, reduction="sum")


class InheritedWordLoss(_Inherited):
    """A language model's: items are words; batches are fairseq samples of TextLines."""

    def _scored(self, batch: dict[str, Any], device: str) -> "_ScoredWords":
        following = batch["target"].to(device)
        kept = following.ne(IGNORED).flatten().nonzero().squeeze(1)
        return _ScoredWords(batch["net_input"]["words"].to(device), following, kept, following.flatten()[kept])

    def _nats(self, batch: "_ScoredWords") -> Tensor:
        features, _memory = self._model(batch.words)
        losses = self._model.output.losses(features.flatten(0, 1).index_select(0, batch.kept), batch.target)
        if self._model.cache is not None:
            looked_up = self._model.cache.look_up(features, batch.following)
            losses = mixed_losses(losses, *(each.flatten().index_select(0, batch.kept) for each in looked_up))
        return losses.sum()


@dataclass(frozen=True)
class _ScoredWords:
    """`words` that are read and those `following` each, IGNORED or not, both (batch, time); `kept` are the places of
    `target` (words,) among them, flattened.
    """

    words: Tensor
    following: Tensor
    kept: Tensor
    target: Tensor


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


def _scored_batch(batch: "Batch", padding: int, device: str) -> _ScoredBatch:
    kept = batch.target.flatten().ne(padding).nonzero().squeeze(1)
    return _ScoredBatch(
        batch.src_tokens.to(device),
        batch.prev_output_tokens.to(device),
        bool(batch.src_tokens.eq(padding).any()),
        kept.to(device),
        batch.target.flatten()[kept].to(device),
    )
