"""Single weights that a language model can lose: of each tensor how many, by losses on some of the validation text."""

import copy
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from hat import files
from hat.architecture.complexity import Shapes
from hat.architecture.groups import Groups, single_weights
from hat.compression.pruning.pruner import Aim, scale
from hat.compression.pruning.selection import Place
from hat.compression.pruning.sensitivity import STEPS, by_sensitivity
from hat.progress import Progress

if TYPE_CHECKING:
    from hat.compression.dense import Dense

# Tables and projections of words, a value a word before the output, and the matrices of the layers.
OF_WORDS = ("embedding.tables.", "embedding.projections.", "output.projections.", "output.biases.")
OF_LAYERS = (".self_attn.qkv_weight", ".self_attn.out_weight", ".fc1.weight", ".fc2.weight")


def tensors(shapes: Shapes) -> list[Groups]:
    """The single weights that may be removed, those of a tensor together."""
    return single_weights([name for name in shapes if name.startswith(OF_WORDS) or name.endswith(OF_LAYERS)], shapes)


def aim_by_sensitivity(dense: "Dense", parameters: int, kept_in: Path) -> Aim:
    """The Aim that so many weights stay: how many of each tensor follows from the harm that its pruning does.

    Losses on the way are kept in the file `kept_in`, where an interrupted search finds them again.
    """
    losses = _Losses(dense, kept_in)
    with Progress("sensitivity", STEPS, "thresholds") as progress:
        found = by_sensitivity(dense.before.counts or (), losses.rise, parameters, progress.advance)
    task = dense.run.task
    print(
        f"pruned alone, no tensor raises {losses.what} above {task.loss_text(losses.of_dense + found.rise)}; "
        f"{dense.name} as it is: {task.loss_text(losses.of_dense)}"
    )
    return Aim(sum(found.kept), found.kept)


class _Losses:
    """Losses of a network of which one tensor is pruned, the others whole; each is measured once."""

    def __init__(self, dense: "Dense", path: Path) -> None:
        self._groups, self._path = dense.groups, path
        self._loss, self.what = dense.run.task.sensitivity_loss(dense.run)
        self._model = copy.deepcopy(dense.model).to("cuda" if torch.cuda.is_available() else "cpu")
        self._weights = self._model.state_dict()
        scores = [each.squared_norms(dense.weights).sqrt().numpy() for each in dense.groups]
        self._places = [Place(each.kind, 1, found) for each, found in zip(dense.groups, scores, strict=True)]
        self._inputs = files.fingerprint(
            [self.what, files.sha256_of_file(dense.run.sub(dense.name) / "model.safetensors")]
        )
        kept = files.read_json(path, "remove it") if path.exists() else {}
        self._known: dict[str, float] = kept["losses"] if kept.get("inputs") == self._inputs else {}
        self.of_dense = self._of(0, self._places[0].scores.size)

    def rise(self, tensor: int, kept: int) -> float:
        """By how many nats the loss rises where so many of a tensor's weights, the largest, are left."""
        return self._of(tensor, kept) - self.of_dense

    def _of(self, tensor: int, kept: int) -> float:
        groups = self._groups[tensor]
        key = f"{groups.place} {kept}"
        if key not in self._known:
            weight = self._weights[groups.place]
            whole = weight.clone()
            scale(groups, self._weights, torch.from_numpy(self._places[tensor].best(kept)))
            self._known[key] = self._loss(self._model)
            weight.copy_(whole)
            files.write_json(self._path, {"inputs": self._inputs, "losses": self._known})
        return self._known[key]
