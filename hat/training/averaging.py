"""Averaging of the last checkpoints (Vaswani et al. 2017, section 6.1)."""

from hat.training.checkpoints import read_weights


def average_weights(paths):
    """Mean of the weights in these safetensors files, name by name, float32; raises ArtifactError for a damaged one."""
    total = read_weights(paths[0])
    for path in paths[1:]:
        for name, tensor in read_weights(path).items():
            total[name] += tensor
    return {name: tensor / len(paths) for name, tensor in total.items()}
