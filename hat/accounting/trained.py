"""The AccountedNetwork of a trained language model: what is zero, what has few bits, how often bins are used."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from hat.accounting.network import AccountedNetwork, Densities
from hat.architecture.stacks import Architecture, DecoderArchitecture
from hat.compression.dense import Dense
from hat.compression.rounding import lay_channel_grids
from hat.deploy.building.compaction import without_removed
from hat.errors import UsageError
from hat.experiment.run_directory import RunDirectory
from hat.models.language_model_spec import LanguageModelSpec


def trained_network(run: RunDirectory, name: str) -> AccountedNetwork:
    """Of the sub-training `name` of a run; how often a bin is used is counted in the test text.

    Raises ArtifactError if it isn't trained, UsageError if it is no language model.
    """
    trained = Dense(run, name)
    spec = trained.model.spec
    if not isinstance(spec, LanguageModelSpec):
        raise UsageError(f"--accounting micronet: {name} is no language model; leave the option out")
    edges = [0, *spec.cutoffs, spec.vocabulary]
    counts = np.histogram(np.asarray(run.prepared().stream("test")), edges)[0]
    return accounted(trained.model.architecture.decoder, spec, trained.weights, tuple(counts / counts.sum()))


def accounted(
    decoder: DecoderArchitecture, spec: LanguageModelSpec, weights: Mapping[str, Tensor], bin_shares: tuple[float, ...]
) -> AccountedNetwork:
    """Of a network with these `weights` {name: tensor}; it counts as pruned if any of a matrix is zero.

    Heads and FFN neurons that were removed as a whole are not of it: it is as small as its bundles, and needs no mask.
    """
    weights = _left(Architecture(decoder=decoder), weights)
    densities = _densities(decoder.layers, spec, weights)
    pruned = any(density < 1 for values in vars(densities).values() for density in values)
    few_bits: dict[str, Any] = {}
    if spec.bits is not None:
        scales = sum(grid.channels for grid in lay_channel_grids(spec.bits, weights).values())
        few_bits = {"bits": spec.bits, "quantisers": len(spec.bounds), "weight_scales": scales}
    return AccountedNetwork(
        vocabulary=spec.vocabulary,
        embed_dim=decoder.embed_dim,
        ffn_dim=_sizes(weights, decoder.layers, "fc1.bias"),
        heads=_sizes(weights, decoder.layers, "self_attn.qkv_bias"),
        head_dim=decoder.head_dim,
        context=decoder.context,
        cutoffs=spec.cutoffs,
        bin_dims=tuple(spec.bin_widths(decoder)) if spec.cutoffs else (),
        bin_shares=bin_shares if spec.cutoffs else (),
        densities=densities if pruned else None,
        cache=spec.cache,
        **few_bits,
    )


def _left(architecture: Architecture, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    arrays = {name: weight.numpy() for name, weight in weights.items()}
    return {name: torch.from_numpy(weight) for name, weight in without_removed(architecture, arrays).items()}


def _sizes(weights: Mapping[str, Tensor], depth: int, name: str) -> tuple[int, ...]:
    """Of the first dimension of each layer's weight of that name."""
    return tuple(len(weights[f"decoder.layers.{layer}.{name}"]) for layer in range(depth))


def _densities(depth: int, spec: LanguageModelSpec, weights: Mapping[str, Tensor]) -> Densities:
    layers, bins = range(depth), range(len(spec.bin_sizes()))

    def of(places: range, name: str) -> tuple[float, ...]:
        found = [weights[name.format(place)] for place in places]
        return tuple(float(weight.count_nonzero()) / weight.numel() for weight in found)

    return Densities(
        qkv=of(layers, "decoder.layers.{}.self_attn.qkv_weight"),
        attention_output=of(layers, "decoder.layers.{}.self_attn.out_weight"),
        fc1=of(layers, "decoder.layers.{}.fc1.weight"),
        fc2=of(layers, "decoder.layers.{}.fc2.weight"),
        embedding=of(bins, "embedding.tables.{}.weight"),
        output_bias=of(bins, "output.biases.{}"),
        input_projection=of(bins[:-1], "embedding.projections.{}.weight"),
        output_projection=of(bins[:-1], "output.projections.{}.weight"),
    )
