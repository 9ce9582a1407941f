"""Loads BERT, RoBERTa and DistilBERT from a local folder in Hugging Face's layout, as the largest classifier."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from hat.architecture.complexity import parameter_shapes
from hat.architecture.stacks import Architecture
from hat.errors import ArtifactError
from hat.models.checkpoint import check_weights
from hat.models.classifier_spec import ClassifierSpec
from hat.models.pretrained_kinds import KINDS, PretrainedKind
from hat.models.pretrained_network import WEIGHTS, check_pretrained, pretrained_network, read_config

HEAD_DEVIATION = 0.02  # of a new head's weights, as in BERT


def load_pretrained(
    folder: Path | str, labels: Sequence[str], first: int, separator: int, seed: int = 0
) -> tuple[Architecture, ClassifierSpec, dict[str, Tensor]]:
    """(Architecture with head_dim, ClassifierSpec, {name: float32 tensor}) of the classifier in `folder`.

    `first` and `separator` are the token ids of its tokenizer. A head with as many labels is kept, its rows in the
    order of `labels` where it has them by name; else a new one is drawn from `seed`. Raises ArtifactError naming what
    is missing, damaged, unsafe or not supported, and the remedy.
    """
    folder = Path(folder)
    architecture, spec = pretrained_network(folder, labels, first, separator)
    config = read_config(folder)
    kind = KINDS[config["model_type"]]
    tensors = _read_tensors(folder, kind)
    weights = _encoder_weights(tensors, kind, architecture.encoder.layers, folder)
    positions = "encoder.embed_positions.weight"
    weights[positions] = weights[positions][kind.skipped_positions(spec.padding) :].clone()
    weights |= _head_weights(tensors, kind, spec, _head_order(config, spec.labels), seed)
    shapes = parameter_shapes(architecture, spec)
    check_weights({name: weight.shape for name, weight in weights.items()}, shapes, folder / WEIGHTS)
    for name in kind.fused(architecture.encoder.layers):
        by_part = weights[name].unflatten(0, (3, -1, architecture.head_dim))
        weights[name] = by_part.transpose(0, 1).flatten(0, 2)
    return architecture, spec, {name: weights[name] for name in shapes}


def _read_tensors(folder: Path, kind: PretrainedKind) -> dict[str, Tensor]:
    """{name without the model's prefix: float32 tensor}; old checkpoints call a norm's weights gamma and beta."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    check_pretrained(folder)
    path = folder / WEIGHTS
    try:
        stored = load_file(path)
    except SafetensorError as error:
        raise ArtifactError(f"{path} is truncated or damaged ({error}); download it again") from None
    tensors = {}
    for name, tensor in stored.items():
        name = name.removeprefix(kind.prefix).replace("LayerNorm.gamma", "LayerNorm.weight")
        tensors[name.replace("LayerNorm.beta", "LayerNorm.bias")] = tensor.float()
    return tensors


def _encoder_weights(
    tensors: Mapping[str, Tensor], kind: PretrainedKind, layers: int, folder: Path
) -> dict[str, Tensor]:
    """By our names; queries, keys and values of all heads after each other, as they are stored."""
    names, fused = kind.names(layers), kind.fused(layers)
    missing = [name for name in (*names.values(), *sum(fused.values(), [])) if name not in tensors]
    if missing:
        more = f" and {len(missing) - 3} more" if len(missing) > 3 else ""
        raise ArtifactError(
            f"{folder}/model.safetensors: missing {', '.join(missing[:3])}{more}; it is not the model of config.json"
        )
    weights = {ours: tensors[theirs] for ours, theirs in names.items()}
    return weights | {ours: torch.cat([tensors[part] for part in parts]) for ours, parts in fused.items()}


def _head_order(config: dict[str, Any], labels: Sequence[str]) -> list[int]:
    """Rows of the checkpoint's head in the order of `labels`: by name, upper or lower case, else as they stand."""
    named = {str(name).casefold(): int(row) for row, name in config.get("id2label", {}).items()}
    ours = [label.casefold() for label in labels]
    return [named[label] for label in ours] if named.keys() == set(ours) else list(range(len(labels)))


def _head_weights(
    tensors: Mapping[str, Tensor], kind: PretrainedKind, spec: ClassifierSpec, order: list[int], seed: int
) -> dict[str, Tensor]:
    found: dict[str, Tensor]
    dim, generator, found = spec.position_dim, torch.Generator().manual_seed(seed), {}
    for ours, theirs, rows in (("pooler", kind.pooler, dim), ("classifier", kind.classifier, len(spec.labels))):
        weight, bias = (tensors.get(f"{theirs}.{part}") for part in ("weight", "bias"))
        if weight is None or bias is None or len(weight) != rows:
            weight, bias = torch.randn(rows, dim, generator=generator) * HEAD_DEVIATION, torch.zeros(rows)
        elif ours == "classifier":
            weight, bias = weight[order], bias[order]
        found |= {f"{ours}.weight": weight, f"{ours}.bias": bias}
    return found
