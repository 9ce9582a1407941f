"""Describes architectures and search spaces: layers, parameters, FLOPs, number of SubTransformers."""

from pathlib import Path
from typing import Any

from hat.architecture.complexity import Spec, count_flops, count_parameters
from hat.architecture.file import load_architecture
from hat.architecture.hat_format import space_from_hat
from hat.architecture.space import SearchSpace
from hat.architecture.stacks import STACKS, WHOLE, Architecture, DecoderArchitecture
from hat.config import from_mapping, read_yaml_mapping
from hat.errors import UsageError
from hat.experiment.config import load_experiment
from hat.models.language_model_spec import LanguageModelSpec
from hat.models.translation_spec import ModelSpec
from hat.tasks import task_of

READ = {"encoder": "source", "decoder": "target"}  # what a stack reads
VOCABULARY = 32768  # where neither the user nor an experiment says how many words there are


def inspect_file(path: Path | str, vocabulary: int | None, length: int) -> dict[str, Any]:
    """Describe the architecture, search space or experiment in a YAML or JSON file as a dictionary.

    `vocabulary` is the number of words, None for the experiment's or VOCABULARY; `length` is the source and target
    tokens for FLOPs. An experiment is described with all that its model has, else the stacks with one shared embedding,
    that of a language model's bins too: an experiment alone says which words are in them.
    For a space, the figures are those of its largest architecture. Raises UsageError for any other file.
    """
    mapping = read_yaml_mapping(path)
    if "search_space" in mapping:
        return _describe_experiment(load_experiment(path), vocabulary, length)
    size = vocabulary or VOCABULARY
    space = _space_of(mapping, path)
    if space is not None:
        return _describe_space(space, _spec_alone(space, size), size, length)
    is_architecture = any(key in STACKS or key.endswith("-subtransformer") for key in mapping)
    if not is_architecture:
        raise UsageError(f"{path} is neither an architecture, a search space nor an experiment config")
    architecture = load_architecture(path)
    return {"kind": "architecture", **describe(architecture, _spec_alone(architecture, size), size, length)}


class _OneTable(LanguageModelSpec):
    """Of a language model's words, whatever bins it has."""

    def bin_widths(self, decoder: DecoderArchitecture) -> list[int]:
        return [decoder.embed_dim]


def _spec_alone(item: Architecture | SearchSpace, vocabulary: int) -> Spec:
    """What is counted of stacks that no experiment says more of."""
    if item.decoder is not None and item.decoder.context:
        return _OneTable(vocabulary, full_embed_dim=1)  # of dropout alone
    return ModelSpec(vocabulary, vocabulary)


def _describe_experiment(config: Any, vocabulary: int | None, length: int) -> dict[str, Any]:
    spec = task_of(config).announced_spec(config, vocabulary)
    size = max(task_of(config).vocabularies(spec).values())
    return _describe_space(config.search_space, spec, size, length)


def _describe_space(space: SearchSpace, spec: Spec, vocabulary: int, length: int) -> dict[str, Any]:
    largest, smallest = (describe(each, spec, vocabulary, length) for each in (space.largest(), space.smallest()))
    return {"kind": "search space", "size": space.size(), **largest, "smallest": smallest}


def _space_of(mapping: dict[str, Any], path: Path | str) -> SearchSpace | None:
    if "encoder-embed-choice" in mapping:
        return space_from_hat(mapping, str(path))
    stacks = [mapping[name] for name in STACKS if isinstance(mapping.get(name), dict)]
    if any("layers" in stack for stack in stacks):
        return from_mapping(SearchSpace, mapping, str(path))
    return None


def describe(architecture: Architecture, spec: Spec, vocabulary: int, length: int) -> dict[str, Any]:
    """Layers, parameters (total and without embeddings and output layer) and FLOPs at `length` tokens.

    `spec` is the task's (ModelSpec, ClassifierSpec, LanguageModelSpec) with `vocabulary` words.
    """
    total, without_embeddings = count_parameters(architecture, spec)
    read, written = (length if stack else 0 for stack in (architecture.encoder, architecture.decoder))
    return {
        "architecture": architecture.to_dict(),
        "vocabulary": vocabulary,
        "length": length,
        "parameters": total,
        "parameters_without_embeddings": without_embeddings,
        "flops": count_flops(architecture, spec, read, written),
    }


def render(described: dict[str, Any]) -> str:
    """The description as a table for people."""
    lines = []
    if described["kind"] == "search space":
        lines += [f"search space of {described['size']:.3e} SubTransformers; its largest:"]
    lines += _render_stacks(described["architecture"])
    lines += _render_costs(described)
    if "smallest" in described:
        lines += ["its smallest:", *_render_stacks(described["smallest"]["architecture"])]
        lines += _render_costs(described["smallest"])
    return "\n".join(lines)


def _render_stacks(architecture: dict[str, Any]) -> list[str]:
    lines = []
    head_width = "".join(f", {name} {architecture[name]}" for name in ("qkv_dim", "head_dim") if name in architecture)
    for name in (name for name in STACKS if name in architecture):
        stack = architecture[name]
        bins = f", bin_dims {', '.join(map(str, stack['bin_dims']))}" if "bin_dims" in stack else ""
        lines.append(f"{name}: embed_dim {stack['embed_dim']}{bins}{head_width}")
        columns = [field for field in stack if field not in WHOLE]
        lines.append("  layer  " + "  ".join(columns))
        for layer in range(len(stack["ffn_dim"])):
            lines.append(f"  {layer + 1:5d}  " + "  ".join(f"{stack[field][layer]:>{len(field)}}" for field in columns))
    return lines


def _render_costs(described: dict[str, Any]) -> list[str]:
    tokens = " and ".join(name for stack, name in READ.items() if stack in described["architecture"])
    return [
        f"parameters: {described['parameters'] / 1e6:.2f} M with a vocabulary of {described['vocabulary']}, "
        f"{described['parameters_without_embeddings'] / 1e6:.2f} M without embeddings and output layer",
        f"FLOPs: {described['flops'] / 1e9:.2f} G at {described['length']} {tokens} tokens",
    ]
