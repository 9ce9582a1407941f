"""How much the loss depends on each group of a network's weights: what counts least is pruned first.

Without a group of weights w, the loss L of a batch changes, to first order, by the sum of w * dL/dw. The importance of
a group is the mean of that change's square over batches (Molchanov et al. 2019, "Importance Estimation for Neural
Network Pruning", arXiv 1906.10771), here for each of its parameters: heads and neurons cost very different numbers.
"""

import copy
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save
from torch import Tensor

from hat import files
from hat.architecture.groups import Groups
from hat.compression.pruning.pruner import sizes_of
from hat.experiment.run_directory import RunDirectory, stamp
from hat.progress import Progress

if TYPE_CHECKING:
    from hat.compression.dense import Dense

KEPT = "importance.safetensors"
LINES, PARTS = 2000, 128  # of the validation text, at most, and into how many batches they are dealt out
LEAST = torch.finfo(torch.float32).tiny  # 0 would be that of a group that is gone


def importance_of(
    groups: Sequence[Groups], weights: Mapping[str, Tensor], gradients: Iterable[Mapping[str, Tensor]]
) -> list[Tensor]:
    """(groups,) for each of the Groups, all above 0; `gradients` are {name: dL/dw}, one for each batch."""
    totals, batches = [torch.zeros(each.count) for each in groups], 0
    for by_weight in gradients:
        for each, total in zip(groups, totals, strict=True):
            total += each.inner_products(weights, by_weight).cpu() ** 2
        batches += 1
    sizes = sizes_of(groups, weights)
    return [(total / batches / size).clamp(min=LEAST) for total, size in zip(totals, sizes, strict=True)]


def kept_importance(dense: "Dense") -> list[Tensor]:
    """That of the groups of a Dense, by its validation text; it is kept in a file beside the network."""
    run, path = dense.run, dense.run.sub(dense.name) / KEPT
    weights = files.sha256_of_file(run.sub(dense.name) / "model.safetensors")
    inputs = files.fingerprint([weights, stamp(run.data), dense.config.structure, dense.block_rows])
    found = _read(path, inputs)
    if found is None:
        found = {each.place: score for each, score in zip(dense.groups, _measured(dense), strict=True)}
        with files.replacing(path) as temporary:
            temporary.write_bytes(save(found, {"inputs": inputs}))
    return [found[each.place] for each in dense.groups]


def _read(path: Path, inputs: str) -> dict[str, Tensor] | None:
    """{place: importance} where the file is there, undamaged, and has these inputs."""
    if not path.exists():
        return None
    try:
        with safe_open(path, "pt") as kept:
            kept_inputs = kept.metadata()["inputs"]
    except SafetensorError:
        return None
    return load_file(path) if kept_inputs == inputs else None


def _measured(dense: "Dense") -> list[Tensor]:
    device = "cuda" if torch.cuda.is_available() else "cpu"
    network, parts = copy.deepcopy(dense.model).to(device), _parts(dense.run)
    loss = dense.run.task.network_loss(dense.run, network, parts, device)
    with Progress("importance", len(parts), "batches") as progress:

        def gradients() -> Iterable[dict[str, Tensor]]:
            for part in range(len(parts)):
                yield loss.gradients(part)
                progress.advance()

        return importance_of(dense.groups, network.state_dict(), gradients())


def _parts(run: RunDirectory) -> list[np.ndarray]:
    """Line numbers, from all over the validation text."""
    there = run.prepared().sentences["valid"]
    lines = np.linspace(0, there - 1, min(there, LINES)).astype(int)
    return [lines[part::PARTS] for part in range(min(there, PARTS))]
