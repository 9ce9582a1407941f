"""The ONNX graph of a classifier: tokens in, logits out.

The logits follow from the first token's state alone. So beyond its keys and values, which need every token, the last
layer is computed for the first token only.
"""

import numpy as np

from hat.deploy.building.blocks import Blocks
from hat.deploy.building.graph_builder import GraphBuilder
from hat.deploy.building.positions import position_table
from hat.deploy.building.products import UNSATURATED_PRODUCTS
from hat.errors import UsageError

CLASSIFIER = "classifier"  # name of the graph
POSITIONS, SEGMENTS = "encoder.embed_positions.weight", "encoder.embed_segments.weight"
PRECISIONS = tuple(UNSATURATED_PRODUCTS)


def build_classifier(architecture, spec, weights, precision="fp32", ranges=None, products=UNSATURATED_PRODUCTS):
    """{"classifier": onnx.ModelProto} of an Architecture's encoder and a ClassifierSpec.

    Inputs: tokens (batch, time) int64, padded on the right; segments like it where there is more than one. Output:
    logits (batch, labels). `weights` are float32 arrays named as the classifier's state dict; `precision` is one of
    PRECISIONS; `ranges` {product name: (low, high)} are the calibrated ranges of the inputs of int8 products, without
    which int8 graphs are good for timing only. Raises UsageError for another precision.
    """
    if precision not in products:
        raise UsageError(f"precision {precision!r} is not one of {', '.join(products)}")
    graph = GraphBuilder(CLASSIFIER)
    blocks = Blocks(graph, architecture, spec, _arranged(architecture, spec, weights), precision, ranges, products)
    tokens = graph.input("tokens", "int64", ["batch", "time"])
    x = _first_states(blocks, _embedded(blocks, tokens), tokens)
    pooled = blocks.products.linear(x, "pooler")
    logits = blocks.products.linear(graph.node(spec.pooler_activation.capitalize(), [pooled]), "classifier")
    graph.output(graph.node("Identity", [logits], ["logits"]), "float32", ["batch", "labels"])
    return {CLASSIFIER: graph.model({"vocabulary": str(spec.vocabulary)})}


def _arranged(architecture, spec, weights):
    """`weights` as the graph needs them.

    Rows of query, key and value one after the other, not head by head; those of the last layer's queries as a product
    of their own; a segment that all tokens have added to the positions.
    """
    arranged = dict(weights)
    heads = architecture.encoder.self_attention_heads
    for layer, count in enumerate(heads):
        for part in ("weight", "bias"):
            name = f"encoder.layers.{layer}.self_attn.qkv_proj.{part}"
            if architecture.head_dim:
                by_head = weights[name].reshape(count, 3, architecture.head_dim, -1)
                arranged[name] = by_head.swapaxes(0, 1).reshape(weights[name].shape)
    last = f"encoder.layers.{len(heads) - 1}.self_attn"
    for part in ("weight", "bias"):
        query, key, value = np.split(arranged[f"{last}.qkv_proj.{part}"], 3)
        arranged[f"{last}.q_proj.{part}"], arranged[f"{last}.kv_proj.{part}"] = query, np.concatenate([key, value])
    if spec.positions == "learned" and spec.segments == 1:
        arranged[POSITIONS] = weights[POSITIONS] + weights[SEGMENTS]
    return arranged


def _embedded(blocks, tokens):
    """Embeddings of tokens, positions and segments, summed and normalised: (batch * time, embed_dim)"""
    graph, spec, dim = blocks.graph, blocks.spec, blocks.architecture.encoder.embed_dim
    time = graph.node("Shape", [tokens], start=1, end=2)
    if spec.positions == "learned":
        table = graph.weight(POSITIONS, blocks.weights[POSITIONS])
        x = blocks.products.look_up(tokens, "encoder.embed_tokens.weight")
    else:
        table = position_table(graph, spec.position_dim, dim, spec.padding)
        flat = blocks.products.embed(graph.reshape(tokens, [-1]), "encoder.embed_tokens.weight", dim)
        x = graph.reshape(flat, graph.shape_like(tokens, [dim]))
    x = graph.node("Add", [x, graph.node("Slice", [table, graph.constant([0]), time, graph.constant([0])])])
    if spec.segments > 1:
        segments = graph.input("segments", "int64", ["batch", "time"])
        table = graph.weight(SEGMENTS, blocks.weights[SEGMENTS])
        x = graph.node("Add", [x, graph.node("Gather", [table, segments], axis=0)])
    elif spec.segments == 1 and spec.positions != "learned":
        x = graph.node("Add", [x, graph.weight(SEGMENTS, blocks.weights[SEGMENTS])])
    x = graph.reshape(x, [-1, dim])
    return blocks.layer_norm(x, "encoder.embedding_layer_norm") if spec.normalize_embedding else x


def _first_states(blocks, x, tokens):
    """The first tokens' states behind all layers, (batch, embed_dim), of embeddings (batch * time, embed_dim)."""
    graph = blocks.graph
    mask = blocks.token_mask(tokens)
    *heads, last_heads = blocks.architecture.encoder.self_attention_heads
    shape = graph.shape_like(tokens, [-1])
    for layer, count in enumerate(heads):
        prefix = f"encoder.layers.{layer}"

        def attention(y, prefix=prefix, count=count):
            return blocks.self_attention(y, prefix, count, shape, mask)

        x = blocks.residual(x, f"{prefix}.self_attn_layer_norm", attention)
        x = blocks.residual(x, f"{prefix}.final_layer_norm", lambda y, prefix=prefix: blocks.feed_forward(y, prefix))
    prefix = f"encoder.layers.{len(heads)}"
    x = _last_attention(blocks, x, f"{prefix}.self_attn", last_heads, shape, mask)
    x = blocks.residual(x, f"{prefix}.final_layer_norm", lambda y: blocks.feed_forward(y, prefix))
    return blocks.layer_norm(x, "encoder.layer_norm") if blocks.spec.normalize_before else x


def _last_attention(blocks, x, prefix, heads, shape, mask):
    """The residual block of the last layer's attention, for each sentence's first token: (batch, embed_dim)"""
    graph, norm = blocks.graph, f"{prefix}_layer_norm"
    memory = blocks.layer_norm(x, norm) if blocks.spec.normalize_before else x
    key, value = (graph.reshape(part, shape) for part in blocks.projected(memory, f"{prefix}.kv_proj", 2))
    bias = graph.node("Expand", [blocks.hidden_bias(mask), graph.constant([1, heads, 1, 1])])

    def attention(y):
        query = blocks.products.linear(y, f"{prefix}.q_proj")
        width = blocks.architecture.attention_dim(heads)
        attended = blocks.attend(query, key, value, heads, [-1, 1, width], bias=bias)
        return blocks.products.linear(attended, f"{prefix}.out_proj")

    first = graph.node("Gather", [graph.reshape(x, shape), graph.constant(0)], axis=1)
    return blocks.residual(first, norm, attention)
