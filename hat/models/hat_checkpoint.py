"""Loads SuperTransformer weights under the parameter names of the HAT authors' code."""

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from hat.architecture.complexity import parameter_shapes
from hat.architecture.space import SearchSpace
from hat.errors import ArtifactError
from hat.models.checkpoint import check_weights
from hat.models.translation import SuperTransformer
from hat.models.translation_spec import ModelSpec

_IGNORED_ENDINGS = (".version", "embed_positions._float_tensor")


def load_hat_supertransformer(path: Path | str, space: SearchSpace, **spec_options: Any) -> SuperTransformer:
    """A SuperTransformer from one of HAT's `.pt` checkpoints; `spec_options` go to ModelSpec (activation, ...).

    Only tensors and the recorded options are unpickled. Raises ArtifactError if the file is missing, damaged
    or of another space.
    """
    try:
        with torch.serialization.safe_globals([argparse.Namespace]):
            state = torch.load(path, map_location="cpu", weights_only=True)["model"]
    except FileNotFoundError:
        raise ArtifactError(f"{path}: no such file; name one of HAT's checkpoints") from None
    except Exception as error:  # torch reports damaged and foreign files through many exception types
        raise ArtifactError(f"{path} is not a readable HAT checkpoint ({str(error).splitlines()[0]})") from None
    return supertransformer_from_hat(state, space, where=path, **spec_options)


def supertransformer_from_hat(
    state: Mapping[str, Tensor], space: SearchSpace, where: Path | str = "HAT checkpoint", **spec_options: Any
) -> SuperTransformer:
    """A SuperTransformer from HAT's state dict {name: tensor}; how embeddings are shared is read off the names."""
    weights = _renamed(state)
    shared_output = "decoder.output_projection.weight" not in weights
    source, target = weights["encoder.embed_tokens.weight"], weights["decoder.embed_tokens.weight"]
    shared_all = shared_output and source.shape == target.shape and torch.equal(source, target)
    if shared_all:
        del weights["decoder.embed_tokens.weight"]
    spec = ModelSpec(
        source_vocabulary=source.size(0),
        target_vocabulary=target.size(0),
        encoder_position_dim=space.encoder.embed_dim[-1],
        decoder_position_dim=space.decoder.embed_dim[-1],
        share_all_embeddings=shared_all,
        share_decoder_input_output_embed=shared_output,
        **spec_options,
    )
    model = SuperTransformer(space, spec)
    expected = parameter_shapes(model.architecture, spec)
    check_weights({name: weight.shape for name, weight in weights.items()}, expected, where)
    model.load_state_dict(weights)
    return model.eval()


def _renamed(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    weights = {}
    for name, weight in state.items():
        if name.endswith(_IGNORED_ENDINGS):
            continue
        for part, value in _in_our_names(name, weight):
            weights[part] = value
    return weights


def _in_our_names(name: str, weight: Tensor) -> list[tuple[str, Tensor]]:
    """HAT fuses query, key and value rows in `in_proj_weight`, also where the encoder gives keys and values."""
    prefix, _, kind = name.rpartition(".")
    if kind not in ("in_proj_weight", "in_proj_bias"):
        return [(name.replace("decoder.embed_out", "decoder.output_projection.weight"), weight)]
    kind = kind.removeprefix("in_proj_")
    if prefix.endswith("self_attn"):
        return [(f"{prefix}.qkv_proj.{kind}", weight)]
    rows = weight.size(0) // 3
    return [(f"{prefix}.q_proj.{kind}", weight[:rows]), (f"{prefix}.kv_proj.{kind}", weight[rows:])]
