"""What pruning saves on the clock: a BERT-base-sized classifier of 64 tokens, one core, all variants in turns.

Weights are random, and what is pruned is chosen at random too, the same share of every place: "whole" heads and FFN
neurons, or columns within blocks of so many rows. Beside them the dense network, in the same precision, and the masked
one, whose pruned weights are as good as zero but still multiplied. For reference PyTorch's product of one block-sparse
matrix (blocks of 64 x 64), against its dense one. Run by hand on a quiet machine:

    python benchmarks/pruned_speed.py --json pruned.json

`ratios` in the JSON are the times over that of the dense network: of the whole structures by precision and rate
(`fp32_2x`...), of the others with their names.
"""

import json
import os
import time
from pathlib import Path

import numpy as np
import torch

from hat.architecture.groups import columns_in_blocks, heads_and_neurons
from hat.architecture.stacks import Architecture, EncoderArchitecture
from hat.cli.common import ArgumentParser, positive_int
from hat.compression.pruning.pruner import Aim, chosen, scale
from hat.config import to_mapping
from hat.deploy.building.classifier_graph import build_classifier_graphs
from hat.deploy.building.graphs import random_weights
from hat.deploy.classifier import graph_inputs
from hat.deploy.sessions import make_session
from hat.models.classifier_spec import ClassifierSpec

LAYERS, DIM, FFN_DIM, HEADS, VOCABULARY = 12, 768, 3072, 12, 30522
TOKENS = 64
RATES = (2, 5)
BLOCK_ROWS = (768, 256, 64)
PRECISIONS = ("fp32", "int8")
NEXT_TO_NOTHING = 1e-12  # in place of what a mask makes zero: graphs would leave zeros out
BSR_BLOCK = 64
SEED = 1


def network():
    """(Architecture, ClassifierSpec, {name: float32 array})"""
    encoder = EncoderArchitecture(DIM, (FFN_DIM,) * LAYERS, (HEADS,) * LAYERS)
    architecture = Architecture(encoder=encoder, head_dim=DIM // HEADS)
    spec = ClassifierSpec(
        vocabulary=VOCABULARY,
        labels=("negative", "positive"),
        positions="learned",
        normalize_embedding=True,
        activation="gelu",
        position_dim=DIM,
        max_positions=512,
        first=0,
        separator=2,
    )
    return architecture, spec, random_weights(architecture, spec, SEED)


def pruned(architecture, weights, rate, block_rows=None):
    """`weights` with 1 / `rate` of each place left: of heads and FFN neurons, or of columns in blocks."""
    shapes = {name: weight.shape for name, weight in weights.items()}
    groups = heads_and_neurons(architecture, shapes) if block_rows is None else columns_in_blocks(shapes, block_rows)
    copied = {name: torch.from_numpy(weight.copy()) for name, weight in weights.items()}
    total = sum(each.size(shapes) * each.count for each in groups)
    for each, kept in zip(groups, chosen(groups, copied, Aim(round(total / rate)), "in_each"), strict=True):
        scale(each, copied, kept.float())
    return {name: weight.numpy() for name, weight in copied.items()}


def masked(weights):
    """`weights` whose zeros are multiplied like others."""
    return {name: np.where(weight == 0, np.float32(NEXT_TO_NOTHING), weight) for name, weight in weights.items()}


def variants(architecture, weights):
    """{name: weights} of all that is timed."""
    found = {"dense": weights}
    for rate in RATES:
        found[f"{rate}x"] = pruned(architecture, weights, rate)
        for rows in BLOCK_ROWS:
            found[f"{rate}x_columns_{rows}"] = pruned(architecture, weights, rate, rows)
    found["2x_masked"] = masked(found["2x"])
    return found


def classifier(architecture, spec, weights, precision):
    """A function of token ids by the graph that a bundle holds."""
    graph = build_classifier_graphs(architecture, spec, weights, precision)["classifier"]
    session, settings = make_session(graph.SerializeToString(), 1), to_mapping(spec)
    return lambda ids: session.run(None, graph_inputs([ids], settings))


def in_turns(functions, rounds):
    """{name: median milliseconds of a call} after one call each that isn't counted."""
    times = {name: [] for name in functions}
    for turn in range(rounds + 1):
        for name, function in functions.items():
            function()  # the others' weights were in the caches
            start = time.perf_counter()
            function()
            times[name] += [1e3 * (time.perf_counter() - start)] if turn else []
    return {name: float(np.median(found)) for name, found in times.items()}


def block_sparse(rounds):
    """{rate: time of PyTorch's block-sparse product over its dense one} of FFN_DIM x DIM by TOKENS rows."""
    rng = torch.Generator().manual_seed(SEED)
    x, matrix = torch.randn(DIM, TOKENS, generator=rng), torch.randn(FFN_DIM, DIM, generator=rng)
    functions = {"dense": lambda: matrix @ x}
    for rate in RATES:
        blocks = torch.rand(FFN_DIM // BSR_BLOCK, DIM // BSR_BLOCK, generator=rng) < 1 / rate
        kept = blocks.repeat_interleave(BSR_BLOCK, 0).repeat_interleave(BSR_BLOCK, 1)
        sparse = (matrix * kept).to_sparse_bsr((BSR_BLOCK, BSR_BLOCK))
        functions[rate] = lambda sparse=sparse: sparse @ x
    times = in_turns(functions, rounds)
    return {rate: times[rate] / times["dense"] for rate in RATES}


def main():
    parser = ArgumentParser(__doc__.split("\n\n")[0])
    parser.add_argument("--json", metavar="FILE", help="write all figures there")
    parser.add_argument("--rounds", type=positive_int, default=15, metavar="N", help="turns of all variants")
    options = parser.parse_args()
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    torch.set_num_threads(1)
    architecture, spec, weights = network()
    ids, prepared = [0, *range(1000, 998 + TOKENS), 2], variants(architecture, weights)
    figures = {"median_ms": {}, "ratios": {}}
    for precision in PRECISIONS:
        functions = {}
        for name, each in prepared.items():
            classify = classifier(architecture, spec, each, precision)
            functions[name] = lambda classify=classify: classify(ids)
        times = in_turns(functions, options.rounds)
        for name, ms in times.items():
            print(f"{precision} {name:16} {ms:8.2f} ms  {ms / times['dense']:.3f} of dense", flush=True)
            figures["ratios"] |= {f"{precision}_{name}": ms / times["dense"]}
        figures["median_ms"][precision] = times
    figures["ratios"] |= {f"torch_bsr_{rate}x": ratio for rate, ratio in block_sparse(100 * options.rounds).items()}
    print(
        "PyTorch, one block-sparse matrix: " + ", ".join(f"{figures['ratios'][f'torch_bsr_{r}x']:.3f}" for r in RATES)
    )
    if options.json:
        Path(options.json).write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
