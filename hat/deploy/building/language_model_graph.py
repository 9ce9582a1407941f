"""The ONNX graph of a language model: words and what is kept of those before them in, probabilities of the next out."""

import functools
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from onnx import ModelProto

from hat.architecture.stacks import Architecture
from hat.deploy.building.blocks import HIDDEN, Blocks
from hat.deploy.building.compaction import without_removed
from hat.deploy.building.graph_builder import GraphBuilder
from hat.deploy.building.network import Heads, Network
from hat.deploy.building.products import PRODUCTS, Products, Ranges
from hat.errors import UsageError

if TYPE_CHECKING:
    from hat.models.language_model_spec import LanguageModelSpec

STEP = "step"  # name of the graph
ALL = np.iinfo(np.int64).max  # as the end of a slice


def build_language_model_graphs(
    architecture: Architecture,
    spec: "LanguageModelSpec",
    weights: Mapping[str, np.ndarray],
    precision: str = "fp32",
    ranges: Ranges | None = None,
    products: Mapping[str, type[Products]] = PRODUCTS,
) -> dict[str, ModelProto]:
    """{"step": onnx.ModelProto} of an Architecture's decoder and a LanguageModelSpec.

    Inputs: words (batch, time) int64; for each layer i what the call before gave, key.i and value.i (batch, heads,
    kept, head_dim), none kept at the beginning of a text. Outputs: log_probabilities (batch, time, vocabulary), and
    new_key.i, new_value.i, of which at most context - 1 are kept; with a cache also features (batch, time, embed_dim),
    its states, while log_probabilities are those without it. `weights` are float32 arrays named as the model's
    state dict, of which pruned heads and FFN neurons are left out (see `compaction`); `precision` is one of PRODUCTS;
    `ranges` {product name: (low, high)} are the calibrated ranges of the inputs of int8 products, without which int8
    graphs are good for timing only. In each precision the log-probabilities are exact for the weights as they are
    stored. Raises UsageError for another precision.
    """
    if precision not in products:
        raise UsageError(f"precision {precision!r} is not one of {', '.join(products)}")
    graph = GraphBuilder(STEP)
    compact = _arranged(architecture, without_removed(architecture, weights))
    blocks = Blocks(graph, Network(architecture, spec, compact, precision, ranges), products)
    words = graph.input("words", "int64", ["batch", "time"])
    x = graph.reshape(_embedded(blocks, words), [-1, architecture.decoder.embed_dim])
    shape = graph.node("Shape", [words])
    distances = _Distances(graph)
    for layer in range(architecture.decoder.layers):
        prefix = f"decoder.layers.{layer}"
        attention = functools.partial(_attention, blocks, layer=layer, shape=shape, distances=distances)
        x = blocks.residual(x, f"{prefix}.self_attn_layer_norm", attention)
        x = blocks.residual(x, f"{prefix}.final_layer_norm", functools.partial(blocks.feed_forward, prefix=prefix))
    x = blocks.layer_norm(x, "decoder.layer_norm")
    if spec.cache:
        features = graph.node("Concat", [shape, graph.constant([architecture.decoder.embed_dim])], axis=0)
        graph.node("Reshape", [x, features], ["features"])
        graph.output("features", "float32", ["batch", "time", architecture.decoder.embed_dim])
    found = _log_probabilities(blocks, x)
    whole = graph.node("Concat", [shape, graph.constant([spec.vocabulary])], axis=0)
    graph.node("Reshape", [found, whole], ["log_probabilities"])
    graph.output("log_probabilities", "float32", ["batch", "time", spec.vocabulary])
    return {STEP: graph.model({"vocabulary": str(spec.vocabulary)})}


def _arranged(architecture: Architecture, weights: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """`weights` as plain matrices: all queries, keys and values stacked, queries scaled; positions transposed."""
    arranged, decoder = dict(weights), architecture.decoder
    for layer, head_dim in enumerate(decoder.head_dim):
        prefix = f"decoder.layers.{layer}.self_attn"
        for part in ("weight", "bias"):
            by_head = arranged.pop(f"{prefix}.qkv_{part}")
            query, key, value = (by_head[:, kind].reshape(-1, *by_head.shape[3:]) for kind in range(3))
            arranged[f"{prefix}.qkv_proj.{part}"] = np.concatenate([query * head_dim**-0.5, key, value])
        arranged[f"{prefix}.out_proj.weight"] = arranged.pop(f"{prefix}.out_weight").reshape(decoder.embed_dim, -1)
        arranged[f"{prefix}.positions"] = arranged[f"{prefix}.positions"].T
    return arranged


def _embedded(blocks: Blocks, words: str) -> str:
    """Embeddings of words, scaled: (batch, time, embed_dim)"""
    graph, decoder, spec = blocks.graph, blocks.architecture.decoder, blocks.spec
    found, start, dim = "", 0, decoder.embed_dim
    for index, (size, width) in enumerate(zip(spec.bin_sizes(), spec.bin_widths(decoder), strict=True)):
        own = graph.node("Sub", [words, graph.constant(start)])
        own = graph.node("Clip", [own, graph.constant(0), graph.constant(size - 1)])
        x = blocks.products.look_up(own, f"embedding.tables.{index}.weight")
        if index:
            flat = graph.reshape(x, [-1, width])
            flat = blocks.products.linear(flat, f"embedding.projections.{index - 1}")
            x = graph.reshape(flat, graph.shape_like(words, [dim]))
            later = graph.node("GreaterOrEqual", [words, graph.constant(start)])
            x = graph.node("Where", [graph.node("Unsqueeze", [later, graph.constant([2])]), x, found])
        found, start = x, start + size
    return graph.node("Mul", [found, graph.constant(dim**0.5, np.float32)])


def _attention(blocks: Blocks, x: str, layer: int, shape: str, distances: "_Distances") -> str:
    """Attention to the last positions: x (batch * time, embed_dim) -> like x; `shape` is (batch, time)."""
    graph, decoder, prefix = blocks.graph, blocks.architecture.decoder, f"decoder.layers.{layer}.self_attn"
    heads, context = blocks.network.windowed_attention(layer), decoder.context[layer]
    by_head = graph.node("Concat", [shape, graph.constant([3 * heads.count, heads.dim])], axis=0)
    stacked = graph.reshape(blocks.products.linear(x, f"{prefix}.qkv_proj"), by_head)
    stacked = graph.node("Transpose", [stacked], perm=[0, 2, 1, 3])
    query, key, value = graph.node("Split", [stacked], 3, axis=1, num_outputs=3)
    key, value = (_with_memory(graph, *each, layer, heads, context) for each in (("key", key), ("value", value)))
    positions = graph.weight(f"{prefix}.positions", blocks.weights[f"{prefix}.positions"])
    scores = graph.node(
        "Add",
        [
            graph.node("MatMul", [query, graph.node("Transpose", [key], perm=[0, 1, 3, 2])]),
            distances.by_key(graph.node("MatMul", [query, positions]), query, key, heads.count, context),
        ],
    )
    mixed = graph.node("MatMul", [graph.node("Softmax", [scores], axis=-1), value])
    mixed = graph.reshape(graph.node("Transpose", [mixed], perm=[0, 2, 1, 3]), [-1, heads.width])
    return blocks.products.linear(mixed, f"{prefix}.out_proj")


def _with_memory(graph: GraphBuilder, kind: str, own: str, layer: int, heads: Heads, context: int) -> str:
    """Keys or values of the positions before, then the own: (batch, heads, kept + time, head_dim); keeps the last."""
    sizes: list[int | str] = ["batch", heads.count, f"kept.{layer}", heads.dim]
    before = graph.input(f"{kind}.{layer}", "float32", sizes)
    together = graph.node("Concat", [before, own], axis=2)
    first = graph.constant([1 - context if context > 1 else ALL])
    bounds = [first, graph.constant([ALL]), graph.constant([2])]
    graph.node("Slice", [together, *bounds], [f"new_{kind}.{layer}"])
    graph.output(f"new_{kind}.{layer}", "float32", ["batch", heads.count, f"new_kept.{layer}", heads.dim])
    return together


class _Distances:
    """How far before each query each key stands: computed once for all layers that see as far with as many heads.

    Such layers keep as many words: all of them began with none.
    """

    def __init__(self, graph: GraphBuilder) -> None:
        self._graph = graph
        self._known: dict[tuple[int, int], tuple[str, str]] = {}

    def by_key(self, by_distance: str, query: str, key: str, heads: int, context: int) -> str:
        """(batch, heads, time, context) -> by key (batch, heads, time, kept + time), HIDDEN where none is seen."""
        if (heads, context) not in self._known:
            self._known[heads, context] = self._places(by_distance, query, key, context)
        places, seen = self._known[heads, context]
        found = self._graph.node("GatherElements", [by_distance, places], axis=3)
        return self._graph.node("Where", [seen, found, self._graph.constant(HIDDEN, np.float32)])

    def _places(self, by_distance: str, query: str, key: str, context: int) -> tuple[str, str]:
        """(where in `by_distance` that of each query and key is, whether the query sees the key at all)"""
        graph, distance = self._graph, self._of(query, key)
        nearest = graph.node("Clip", [distance, graph.constant(0), graph.constant(context - 1)])
        leading = graph.node("Shape", [by_distance], start=0, end=2)
        shape = graph.node("Concat", [leading, graph.node("Shape", [distance])], axis=0)
        return graph.node("Expand", [nearest, shape]), graph.node("Equal", [nearest, distance])

    def _of(self, query: str, key: str) -> str:
        """Negative for keys after a query: (time, kept + time) int64."""
        graph, zero, one = self._graph, self._graph.constant(0), self._graph.constant(1)
        sizes = [graph.node("Shape", [each], start=2, end=3) for each in (query, key)]
        time, keys = (graph.node("Squeeze", [size, graph.constant([0])]) for size in sizes)
        rows = graph.node("Range", [graph.node("Sub", [keys, time]), keys, one])
        columns = graph.node("Range", [zero, keys, one])
        return graph.node("Sub", [graph.node("Unsqueeze", [rows, graph.constant([1])]), columns])


def _log_probabilities(blocks: Blocks, x: str) -> str:
    """Of all words: x (batch * time, embed_dim) -> (batch * time, vocabulary)"""
    graph, spec = blocks.graph, blocks.spec
    dim, *later = spec.bin_widths(blocks.architecture.decoder)
    logits = [_table_logits(blocks, x, 0, dim)]
    if later:
        logits.append(blocks.products.linear(x, "output.classes"))
    head = graph.node("LogSoftmax", [graph.node("Concat", logits, axis=1)], axis=1)
    if not later:
        return head
    sizes = graph.constant([spec.bin_sizes()[0], *[1] * len(later)])
    words, *of_bins = graph.node("Split", [head, sizes], len(later) + 1, axis=1)
    parts = [words]
    for index, (of_bin, width) in enumerate(zip(of_bins, later, strict=True), start=1):
        projected = blocks.products.linear(x, f"output.projections.{index - 1}")
        tail = _table_logits(blocks, projected, index, width)
        parts.append(graph.node("Add", [graph.node("LogSoftmax", [tail], axis=1), of_bin]))
    return graph.node("Concat", parts, axis=1)


def _table_logits(blocks: Blocks, x: str, index: int, dim: int) -> str:
    """Of a bin's words."""
    name = f"output.biases.{index}"
    bias = blocks.graph.weight(name, blocks.weights[name])
    logits = blocks.products.logits(x, f"embedding.tables.{index}.weight", dim, f"output.tables.{index}")
    return blocks.graph.node("Add", [logits, bias])
