"""Averaging of the last checkpoints (Vaswani et al. 2017, section 6.1)."""

from safetensors.torch import load_file


def average_weights(paths):
    """Mean of the weights in these safetensors files, name by name, float32."""
    total = load_file(paths[0])
    for path in paths[1:]:
        for name, tensor in load_file(path).items():
            total[name] += tensor
    return {name: tensor / len(paths) for name, tensor in total.items()}
