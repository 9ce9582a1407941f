"""A pretrained folder in Hugging Face's layout: what its config.json says of the network; its weights are not read."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hat import files
from hat.architecture.stacks import Architecture, EncoderArchitecture
from hat.errors import ArtifactError
from hat.models.classifier_spec import ClassifierSpec
from hat.models.pretrained_kinds import KINDS, PretrainedKind

CONFIG, WEIGHTS = "config.json", "model.safetensors"


def pretrained_network(
    folder: Path | str, labels: Sequence[str], first: int, separator: int
) -> tuple[Architecture, ClassifierSpec]:
    """(Architecture with head_dim, ClassifierSpec) of the classifier with these labels.

    `first` and `separator` are token ids, which the tokenizer knows. Raises ArtifactError naming a key of config.json
    that is missing or not supported.
    """
    return described_network(read_config(folder), folder, labels, first, separator)


def described_network(
    config: dict[str, Any], folder: Path | str, labels: Sequence[str], first: int, separator: int
) -> tuple[Architecture, ClassifierSpec]:
    """What `pretrained_network` gives for a `config` that was read from `folder` before."""
    kind = KINDS[config["model_type"]]
    return _architecture(config, kind, folder), _spec(config, kind, folder, tuple(labels), first, separator)


def check_pretrained(folder: Path | str) -> None:
    """Raise ArtifactError naming the remedy unless `folder` has weights in the one format that is read."""
    if not (Path(folder) / WEIGHTS).exists():
        raise ArtifactError(_why_missing(Path(folder)))


def _why_missing(folder: Path) -> str:
    if (folder / "pytorch_model.bin").exists():
        return (
            f"{folder}/pytorch_model.bin is a pickle, which can run any code when read; convert it to safetensors "
            "with transformers' AutoModel.from_pretrained(DIR).save_pretrained(DIR)"
        )
    if (folder / "model.safetensors.index.json").exists():
        return f"{folder}: weights in several files are not supported; save them as one model.safetensors"
    return f"{folder}/model.safetensors is missing; download the model's safetensors file"


def read_config(folder: Path | str) -> dict[str, Any]:
    """config.json of a folder as a dictionary; raises ArtifactError unless it is of one of KINDS."""
    path = Path(folder) / CONFIG
    config = files.read_json(path, "name a folder in Hugging Face's layout")
    model_type = config.get("model_type") if isinstance(config, dict) else None
    if model_type not in KINDS:
        raise ArtifactError(f"{path}: model_type {model_type!r} is not supported; use one of {', '.join(KINDS)}")
    positions = config.get("position_embedding_type", "absolute")
    if positions != "absolute":
        raise ArtifactError(f"{path}: position_embedding_type {positions!r} is not supported; use an absolute one")
    return config


def _require(config: dict[str, Any], key: str, folder: Path | str) -> Any:
    if key not in config:
        raise ArtifactError(f"{folder}/config.json: key {key!r} is missing; download the model's own config.json")
    return config[key]


def _size(config: dict[str, Any], key: str, folder: Path | str) -> int:
    value = _require(config, key, folder)
    if type(value) is not int or value < 1:
        raise ArtifactError(f"{folder}/config.json: {key} {value!r} is not a positive number; restore the file")
    return value


def _architecture(config: dict[str, Any], kind: PretrainedKind, folder: Path | str) -> Architecture:
    keys = (kind.embed_dim, kind.layers, kind.heads, kind.ffn_dim)
    dim, layers, heads, ffn_dim = (_size(config, key, folder) for key in keys)
    if dim % heads:
        raise ArtifactError(f"{folder}/config.json: {heads} heads do not divide {kind.embed_dim} {dim}; restore it")
    return Architecture(encoder=EncoderArchitecture(dim, (ffn_dim,) * layers, (heads,) * layers), head_dim=dim // heads)


def _spec(
    config: dict[str, Any],
    kind: PretrainedKind,
    folder: Path | str,
    labels: tuple[str, ...],
    first: int,
    separator: int,
) -> ClassifierSpec:
    activation = _require(config, kind.activation, folder)
    if activation not in ("gelu", "relu"):
        raise ArtifactError(f"{folder}/config.json: {kind.activation} {activation!r} is not supported; gelu, relu are")
    padding = config.get("pad_token_id", kind.padding)
    return ClassifierSpec(
        vocabulary=_size(config, "vocab_size", folder),
        labels=labels,
        position_dim=config[kind.embed_dim],
        positions="learned",
        max_positions=_size(config, "max_position_embeddings", folder) - kind.skipped_positions(padding),
        first=first,
        separator=separator,
        segments=_size(config, kind.segments, folder) if kind.segments else 0,
        normalize_embedding=True,
        activation=activation,
        pooler_activation=kind.pooler_activation,
        layer_norm_epsilon=kind.layer_norm_epsilon or _require(config, "layer_norm_eps", folder),
        dropout=config.get(kind.dropout, 0.0),
        attention_dropout=config.get(kind.attention_dropout, 0.0),
        padding=padding,
    )
