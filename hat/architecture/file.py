"""Reads architectures from files, ours or those of the HAT authors."""

from pathlib import Path

from hat.architecture.hat_format import architecture_from_hat
from hat.architecture.stacks import Architecture
from hat.config import read_yaml_mapping


def load_architecture(path: Path | str) -> Architecture:
    """Read an architecture from YAML or JSON, ours or HAT's `*-subtransformer` keys."""
    mapping = read_yaml_mapping(path)
    if any(key.endswith("-subtransformer") for key in mapping):
        return architecture_from_hat(mapping, str(path))
    return Architecture.from_dict(mapping, str(path))
