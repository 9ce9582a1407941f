"""ONNX graphs of a Transformer, built straight from an Architecture and its weights.

Several graphs share the work of translating. The *encoder* runs once per batch of sentences and leaves, for every
decoder layer, the keys and values of its encoder-decoder attention. *beam* and *greedy* (see loop_graphs) are whole
searches; *step* appends one token to each hypothesis, for searches with options that those lack. The hypotheses of a
sentence are the queries of its encoder-decoder attention, so its keys and values exist once.
"""

import functools
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from onnx import ModelProto

from hat.architecture.complexity import Spec, parameter_shapes
from hat.architecture.stacks import Architecture
from hat.deploy.building.block_costs import UNMEASURED, DeviceCosts
from hat.deploy.building.blocks import Blocks
from hat.deploy.building.compaction import with_column_blocks, without_removed
from hat.deploy.building.decoder_blocks import (
    cache_shapes,
    declare_memory,
    decoder_layers,
    embed_target,
    log_probabilities,
    memory_bias_shapes,
    target_positions,
)
from hat.deploy.building.graph_builder import GraphBuilder
from hat.deploy.building.loop_graphs import beam_graph, greedy_graph
from hat.deploy.building.network import Heads, Network
from hat.deploy.building.positions import position_table
from hat.deploy.building.products import PRODUCTS, SINGLE_ROW_PRODUCTS, Ranges
from hat.errors import UsageError

if TYPE_CHECKING:
    from hat.models.translation_spec import ModelSpec

PRECISIONS = tuple(PRODUCTS)


def build_graphs(
    architecture: Architecture,
    spec: "ModelSpec",
    weights: Mapping[str, np.ndarray],
    precision: str = "fp32",
    ranges: Ranges | None = None,
    names: Iterable[str] | None = None,
    costs: DeviceCosts = UNMEASURED,
) -> dict[str, ModelProto]:
    """{name: onnx.ModelProto} of all graphs of a bundle, or of those in `names`.

    `weights` are float32 arrays named and shaped as `hat.architecture.complexity.parameter_shapes` says, of which what
    was pruned (see `compaction`) is left out; `precision` is one of PRECISIONS; `ranges` {product name: (low, high)}
    are the calibrated ranges of the inputs of int8 products, without which int8 graphs are good for timing only;
    `costs` say which matrices are multiplied by blocks. Raises UsageError for another precision.
    """
    if precision not in PRECISIONS:
        raise UsageError(f"precision {precision!r} is not one of {', '.join(PRECISIONS)}")
    compact = with_column_blocks(without_removed(architecture, weights), costs.at(precision))
    network = Network(architecture, spec, compact, precision, ranges)
    return {name: GRAPHS[name](network) for name in (graph_names(precision) if names is None else names)}


def graph_names(precision: str) -> list[str]:
    """Names of the graphs that a bundle of this precision holds."""
    return [name for name in GRAPHS if precision in SINGLE_ROW_PRODUCTS or not name.startswith("greedy_single")]


def random_weights(architecture: Architecture, spec: Spec, seed: int) -> dict[str, np.ndarray]:
    """Weights of the right names and shapes for measuring latency, which doesn't depend on their values."""
    rng = np.random.default_rng(seed)
    return {
        name: (rng.standard_normal(shape, dtype=np.float32) * np.float32(shape[-1] ** -0.5))
        for name, shape in parameter_shapes(architecture, spec).items()
    }


def _encoder_graph(network: Network) -> ModelProto:
    """Inputs: source_tokens (batch, source), padded; beam (1,), how many hypotheses a sentence will have.

    Outputs: per decoder layer cross_key.N and cross_value.N, and the memory_bias.* that fits them.
    """
    graph = GraphBuilder("encoder")
    blocks = Blocks(graph, network)
    tokens = graph.input("source_tokens", "int64", ["batch", "source"])
    beam = graph.input("beam", "int64", [1])
    mask = blocks.token_mask(tokens)
    x = _embed_source(blocks, tokens, mask)
    states = _encoder_layers(blocks, x, tokens, mask)
    _keys_and_values(blocks, states, tokens)
    _memory_biases(blocks, mask, beam)
    spec = network.spec
    vocabularies = {"source_vocabulary": spec.source_vocabulary, "target_vocabulary": spec.target_vocabulary}
    return graph.model({name: str(size) for name, size in vocabularies.items()})


def _embed_source(blocks: Blocks, tokens: str, mask: str) -> str:
    """Scaled embeddings plus positions counted from each sentence's first token: (batch * source, embed_dim)"""
    graph, spec, dim = blocks.graph, blocks.spec, blocks.architecture.encoder.embed_dim
    x = blocks.products.embed(graph.reshape(tokens, [-1]), "encoder.embed_tokens.weight", dim)
    counted = graph.node("CumSum", [mask, graph.constant(1)], exclusive=1)
    table = position_table(graph.root, spec.encoder_position_dim, dim, spec.padding)
    positions = graph.node("Gather", [table, graph.reshape(counted, [-1])], axis=0)
    return graph.node("Add", [x, positions])


def _encoder_layers(blocks: Blocks, x: str, tokens: str, mask: str) -> list[str]:
    """The output of every layer, (batch * source, embed_dim) each, normalised."""
    graph, states = blocks.graph, []
    layers = [blocks.network.self_attention("encoder", layer) for layer in range(blocks.architecture.encoder.layers)]
    shapes = {width: graph.shape_like(tokens, [width]) for width in sorted({heads.width for heads in layers})}
    for layer, heads in enumerate(layers):
        prefix = f"encoder.layers.{layer}"

        def self_attention(y: str, prefix: str = prefix, heads: Heads = heads) -> str:
            shape = shapes[heads.width]
            query, key, value = blocks.projected(y, f"{prefix}.self_attn.qkv_proj", 3)
            attended = blocks.attend(
                query, graph.reshape(key, shape), graph.reshape(value, shape), heads, shape, mask=mask
            )
            return blocks.products.linear(attended, f"{prefix}.self_attn.out_proj")

        x = blocks.residual(x, f"{prefix}.self_attn_layer_norm", self_attention)
        x = blocks.residual(x, f"{prefix}.final_layer_norm", functools.partial(blocks.feed_forward, prefix=prefix))
        states.append(x)
    if blocks.spec.normalize_before:
        states = [blocks.layer_norm(state, "encoder.layer_norm") for state in states]
    return states


def _keys_and_values(blocks: Blocks, states: Sequence[str], tokens: str) -> None:
    """Graph outputs cross_key.N and cross_value.N (batch, heads, span * source, head_dim) of decoder layer N."""
    graph, dim = blocks.graph, blocks.architecture.encoder.embed_dim
    spans = blocks.architecture.decoder.cross_attention_span
    memories = {span: _memory(graph, states, span, tokens, dim) for span in set(spans)}
    batch = graph.node("Shape", [tokens], start=0, end=1)
    for layer, span in enumerate(spans):
        heads = blocks.network.cross_attention(layer)
        shape = graph.node("Concat", [batch, graph.constant([-1, heads.count, heads.dim])], axis=0)
        parts = blocks.projected(memories[span], f"decoder.layers.{layer}.encoder_attn.kv_proj", 2)
        for name, part in zip((f"cross_key.{layer}", f"cross_value.{layer}"), parts):
            graph.node("Transpose", [graph.reshape(part, shape)], [name], perm=[0, 2, 1, 3])
            graph.output(name, "float32", ["batch", heads.count, f"memory_{span}", heads.dim])


def _memory_biases(blocks: Blocks, mask: str, beam: str) -> None:
    """Graph outputs memory_bias.SPAN.HEADS: `hidden_bias` as large as encoder-decoder attention needs it."""
    graph = blocks.graph
    bias = blocks.hidden_bias(mask)
    one = graph.constant([1])
    for name, (span, shape) in memory_bias_shapes(blocks.network).items():
        joined = graph.node("Concat", [bias] * span, axis=3)
        size = graph.node("Concat", [one, graph.constant([shape[1]]), beam, one], axis=0)
        graph.node("Expand", [joined, size], [name])
        graph.output(name, "float32", shape)


def _memory(graph: GraphBuilder, states: Sequence[str], span: int, tokens: str, embed_dim: int) -> str:
    """The last `span` states concatenated along time, last layer first: (batch * span * source, embed_dim)"""
    if span == 1:
        return states[-1]
    shape = graph.shape_like(tokens, [embed_dim])
    joined = graph.node("Concat", [graph.reshape(state, shape) for state in states[-1 : -span - 1 : -1]], axis=1)
    return graph.reshape(joined, [-1, embed_dim])


def _step_graph(network: Network) -> ModelProto:
    """One more token for every hypothesis.

    Inputs: tokens (batch, beam), the last token of each; step (1,), how many were computed before; reorder (rows,),
    for each row the row of the previous call that it continues; candidates (1,), how many best tokens to return;
    wanted_tokens (rows, wanted), tokens whose log-probabilities to return as well;
    caches self_key.N and self_value.N (previous rows, heads, step, head_dim); the encoder's outputs.
    Outputs: candidate_scores and candidate_tokens (rows, candidates), best first, and wanted_scores (rows, wanted), all
    log-probabilities; next_self_key.N and next_self_value.N. Rows are batch * beam.
    """
    graph = GraphBuilder("step")
    blocks = Blocks(graph, network)
    tokens = graph.input("tokens", "int64", ["batch", "beam"])
    step = graph.input("step", "int64", [1])
    reorder = graph.input("reorder", "int64", ["rows"])
    candidates = graph.input("candidates", "int64", [1])
    wanted = graph.input("wanted_tokens", "int64", ["rows", "wanted"])
    declare_memory(graph, network)
    graph.output("candidate_scores", "float32", ["rows", "candidates"])
    graph.output("candidate_tokens", "int64", ["rows", "candidates"])
    graph.output("wanted_scores", "float32", ["rows", "wanted"])
    for name, shape in cache_shapes(network).items():
        graph.output(f"next_{name}", "float32", shape)
    x = embed_target(blocks, tokens, target_positions(blocks), step)
    caches = _cache_inputs(graph, network, reorder)
    x, _ = decoder_layers(blocks, x, graph.node("Shape", [tokens]), caches)
    scores = log_probabilities(blocks, x)
    graph.node("TopK", [scores, candidates], ["candidate_scores", "candidate_tokens"], axis=-1)
    graph.node("GatherElements", [scores, wanted], ["wanted_scores"], axis=1)
    return graph.model({"target_vocabulary": str(network.spec.target_vocabulary)})


def _cache_inputs(graph: GraphBuilder, network: Network, reorder: str) -> dict[str, str]:
    """{name: cache} of the previous steps, in the new order of the hypotheses."""
    caches = {}
    for name, (_, heads, _, head_dim) in cache_shapes(network).items():
        cache = graph.input(name, "float32", ["previous_rows", heads, "past", head_dim])
        caches[name] = graph.node("Gather", [cache, reorder], axis=0)
    return caches


GRAPHS: dict[str, Callable[..., ModelProto]] = {
    "encoder": _encoder_graph,
    "step": _step_graph,
    "beam": beam_graph,
    "greedy": greedy_graph,
    "beam_shortlist": functools.partial(beam_graph, shortlisted=True),
    "greedy_shortlist": functools.partial(greedy_graph, shortlisted=True),
    "greedy_single": functools.partial(greedy_graph, single_row=True),
    "greedy_single_shortlist": functools.partial(greedy_graph, shortlisted=True, single_row=True),
}
