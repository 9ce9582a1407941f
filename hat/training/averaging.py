"""Averaging of the last checkpoints (Vaswani et al. 2017, section 6.1)."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from hat.training.checkpoints import read_weights

if TYPE_CHECKING:
    from torch import Tensor


def average_weights(paths: Sequence[Path]) -> "dict[str, Tensor]":
    """Mean of the weights in these safetensors files, name by name, float32; raises ArtifactError for a damaged one."""
    total = read_weights(paths[0])
    for path in paths[1:]:
        for name, tensor in read_weights(path).items():
            total[name] += tensor
    return {name: tensor / len(paths) for name, tensor in total.items()}
