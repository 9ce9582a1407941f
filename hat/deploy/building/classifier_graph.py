"""The ONNX graph of a classifier: tokens in, logits out.

The logits follow from the first token's state alone. So beyond its keys and values, which need every token, the last
layer is computed for the first token only.
"""

import functools
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from onnx import ModelProto

from hat.architecture.stacks import Architecture
from hat.deploy.building.block_costs import UNMEASURED, DeviceCosts
from hat.deploy.building.blocks import Blocks
from hat.deploy.building.compaction import with_column_blocks, without_removed
from hat.deploy.building.graph_builder import GraphBuilder
from hat.deploy.building.network import Heads, Network
from hat.deploy.building.positions import position_table
from hat.deploy.building.products import PRODUCTS, Products, Ranges
from hat.errors import UsageError

if TYPE_CHECKING:
    from hat.models.classifier_spec import ClassifierSpec

CLASSIFIER = "classifier"  # name of the graph
POSITIONS, SEGMENTS = "encoder.embed_positions.weight", "encoder.embed_segments.weight"
PARTS = "weight", "bias"
PRECISIONS = tuple(PRODUCTS)


def build_classifier_graphs(
    architecture: Architecture,
    spec: "ClassifierSpec",
    weights: Mapping[str, np.ndarray],
    precision: str = "fp32",
    ranges: Ranges | None = None,
    products: Mapping[str, type[Products]] = PRODUCTS,
    costs: DeviceCosts = UNMEASURED,
) -> dict[str, ModelProto]:
    """{"classifier": onnx.ModelProto} of an Architecture's encoder and a ClassifierSpec.

    Inputs: tokens (batch, time) int64, padded on the right; segments like it where there is more than one. Output:
    logits (batch, labels). `weights` are float32 arrays named as the classifier's state dict, of which what was pruned
    (see `compaction`) is left out; `precision` is one of PRECISIONS; `ranges` {product name: (low, high)} are the
    calibrated ranges of the inputs of int8 products, without which int8 graphs are good for timing only; `costs` say
    which matrices are multiplied by blocks. Raises UsageError for another precision.
    """
    if precision not in products:
        raise UsageError(f"precision {precision!r} is not one of {', '.join(products)}")
    graph = GraphBuilder(CLASSIFIER)
    arranged = _arranged(architecture, without_removed(architecture, weights))
    compact = with_column_blocks(arranged, costs.at(precision))
    blocks = Blocks(graph, Network(architecture, spec, compact, precision, ranges), products)
    tokens = graph.input("tokens", "int64", ["batch", "time"])
    x = _first_states(blocks, _embedded(blocks, tokens), tokens)
    pooled = blocks.products.linear(x, "pooler")
    logits = blocks.products.linear(graph.node(spec.pooler_activation.capitalize(), [pooled]), "classifier")
    graph.output(graph.node("Identity", [logits], ["logits"]), "float32", ["batch", "labels"])
    return {CLASSIFIER: graph.model({"vocabulary": str(spec.vocabulary)})}


def _arranged(architecture: Architecture, weights: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """`weights` as the graph needs them.

    Queries, keys and values have products of their own. Those of keys and values have no bias: the softmax takes the
    same for all keys as nothing, and what is the same in all values passes through attention to the output projection,
    whose bias it joins.
    """
    arranged = dict(weights)
    for layer in range(architecture.encoder.layers):
        prefix = f"encoder.layers.{layer}.self_attn"
        stacked, biases = (_by_kind(architecture, arranged.pop(f"{prefix}.qkv_proj.{part}")) for part in PARTS)
        arranged |= {f"{prefix}.{kind}_proj.weight": weight for kind, weight in zip("qkv", stacked)}
        arranged[f"{prefix}.q_proj.bias"] = biases[0]
        output = weights[f"{prefix}.out_proj.weight"]
        arranged[f"{prefix}.out_proj.bias"] = weights[f"{prefix}.out_proj.bias"] + output @ biases[2]
    return arranged


def _by_kind(architecture: Architecture, stacked: np.ndarray) -> list[np.ndarray]:
    """(queries' rows, keys' rows, values' rows) of a weight or bias that holds them stacked, or head by head."""
    if not architecture.head_dim:
        return np.split(stacked, 3)
    by_head = stacked.reshape(-1, 3, architecture.head_dim, *stacked.shape[1:])
    return [np.concatenate(by_head[:, kind]) for kind in range(3)]


def _embedded(blocks: Blocks, tokens: str) -> str:
    """Embeddings of tokens, positions and segments, summed and normalised: (batch * time, embed_dim)"""
    graph, spec, dim = blocks.graph, blocks.spec, blocks.architecture.encoder.embed_dim
    if spec.positions == "learned":
        positions = graph.weight(POSITIONS, blocks.weights[POSITIONS])
        x = blocks.products.look_up(tokens, "encoder.embed_tokens.weight")
    else:
        positions = position_table(graph, spec.position_dim, dim, spec.padding)
        flat = blocks.products.embed(graph.reshape(tokens, [-1]), "encoder.embed_tokens.weight", dim)
        x = graph.reshape(flat, graph.shape_like(tokens, [dim]))
    segments = graph.weight(SEGMENTS, blocks.weights[SEGMENTS]) if spec.segments else None
    if spec.segments == 1:  # which all tokens have: onnxruntime adds these constants when the session is made
        positions = graph.node("Add", [positions, segments])
    time = graph.node("Shape", [tokens], start=1, end=2)
    x = graph.node("Add", [x, graph.node("Slice", [positions, graph.constant([0]), time, graph.constant([0])])])
    if spec.segments > 1:
        of_tokens = graph.node("Gather", [segments, graph.input("segments", "int64", ["batch", "time"])], axis=0)
        x = graph.node("Add", [x, of_tokens])
    x = graph.reshape(x, [-1, dim])
    return blocks.layer_norm(x, "encoder.embedding_layer_norm") if spec.normalize_embedding else x


def _first_states(blocks: Blocks, x: str, tokens: str) -> str:
    """The first tokens' states behind all layers, (batch, embed_dim), of embeddings (batch * time, embed_dim)."""
    graph, spec = blocks.graph, blocks.spec
    mask, shape = blocks.token_mask(tokens), graph.shape_like(tokens, [-1])
    layers = [blocks.network.self_attention("encoder", layer) for layer in range(blocks.architecture.encoder.layers)]
    *before, last_heads = layers
    for layer, heads in enumerate(before):
        prefix = f"encoder.layers.{layer}"

        def attention(y: str, prefix: str = prefix, heads: Heads = heads) -> str:
            return _attention(blocks, f"{prefix}.self_attn", heads, y, y, shape, shape, mask=mask)

        x = blocks.residual(x, f"{prefix}.self_attn_layer_norm", attention)
        x = blocks.residual(x, f"{prefix}.final_layer_norm", functools.partial(blocks.feed_forward, prefix=prefix))

    prefix = f"encoder.layers.{len(before)}"
    norm = f"{prefix}.self_attn_layer_norm"
    memory = blocks.layer_norm(x, norm) if spec.normalize_before else x
    hidden = graph.node("Expand", [blocks.hidden_bias(mask), graph.constant([1, last_heads.count, 1, 1])])
    single = [-1, 1, last_heads.width]

    def last_attention(y: str) -> str:
        return _attention(blocks, f"{prefix}.self_attn", last_heads, y, memory, single, shape, bias=hidden)

    first = graph.node("Gather", [graph.reshape(x, shape), graph.constant(0)], axis=1)
    x = blocks.residual(first, norm, last_attention)
    x = blocks.residual(x, f"{prefix}.final_layer_norm", lambda y: blocks.feed_forward(y, prefix))
    return blocks.layer_norm(x, "encoder.layer_norm") if spec.normalize_before else x


def _attention(
    blocks: Blocks,
    prefix: str,
    heads: Heads,
    x: str,
    memory: str,
    query_shape: str | Sequence[int],
    shape: str,
    **hiding: str,
) -> str:
    """Attention of `x` (rows, embed_dim) to `memory` (batch * time, embed_dim), with its projections: as `x`.

    The shapes are (batch, queries, features) and (batch, time, features); `hiding` is the mask or the bias of `attend`.
    """
    query = blocks.products.linear(x, f"{prefix}.q_proj")
    key, value = (blocks.graph.reshape(blocks.products.linear(memory, f"{prefix}.{kind}_proj"), shape) for kind in "kv")
    attended = blocks.attend(query, key, value, heads, query_shape, **hiding)
    return blocks.products.linear(attended, f"{prefix}.out_proj")
