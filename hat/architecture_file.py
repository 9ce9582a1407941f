"""Reads architectures from files, ours or those of the HAT authors."""

from hat.architecture import Architecture
from hat.config import read_yaml_mapping
from hat.hat_format import architecture_from_hat


def load_architecture(path):
    """Read an architecture from YAML or JSON, ours or HAT's `*-subtransformer` keys."""
    mapping = read_yaml_mapping(path)
    if any(key.endswith("-subtransformer") for key in mapping):
        return architecture_from_hat(mapping, str(path))
    return Architecture.from_dict(mapping, str(path))
