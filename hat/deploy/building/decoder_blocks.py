"""What one decoder step is made of: shared by the step graph and by the searches that loop inside a graph."""

import functools
from collections.abc import Mapping

from hat.deploy.building.blocks import Blocks
from hat.deploy.building.graph_builder import GraphBuilder
from hat.deploy.building.network import Network
from hat.deploy.building.positions import position_table


def target_positions(blocks: Blocks) -> str:
    """The table (positions, embed_dim) of the decoder, in the outermost graph."""
    spec, dim = blocks.spec, blocks.architecture.decoder.embed_dim
    return position_table(blocks.graph.root, spec.decoder_position_dim, dim, spec.padding)


def embed_target(blocks: Blocks, tokens: str, positions: str, step: str) -> str:
    """Scaled embeddings of `tokens` (batch, beam) plus row `step` of `positions`: (rows, embed_dim)"""
    graph, spec, dim = blocks.graph, blocks.spec, blocks.architecture.decoder.embed_dim
    name = "encoder.embed_tokens.weight" if spec.share_all_embeddings else "decoder.embed_tokens.weight"
    x = blocks.products.embed(graph.reshape(tokens, [-1]), name, dim)
    return graph.node("Add", [x, graph.node("Gather", [positions, step], axis=0)])


def declare_memory(graph: GraphBuilder, network: Network) -> None:
    """Declare what the encoder graph puts out as inputs of `graph`."""
    for layer, span in enumerate(network.architecture.decoder.cross_attention_span):
        heads = network.cross_attention(layer)
        shape: list[int | str] = ["batch", heads.count, f"memory_{span}", heads.dim]
        for part in ("key", "value"):
            graph.input(f"cross_{part}.{layer}", "float32", shape)
    for name, (_, shape) in memory_bias_shapes(network).items():
        graph.input(name, "float32", shape)


def memory_bias_shapes(network: Network) -> dict[str, tuple[int, list[int | str]]]:
    """{name: (span, shape)} of what hides padding from encoder-decoder attention, per span and number of heads.

    A full-size bias, because onnxruntime before 1.20 neither broadcasts one nor applies key masks rightly here.
    """
    spans = enumerate(network.architecture.decoder.cross_attention_span)
    kinds = sorted({(span, network.cross_attention(layer).count) for layer, span in spans})
    return {f"memory_bias.{span}.{heads}": (span, ["batch", heads, "beam", f"memory_{span}"]) for span, heads in kinds}


def cache_shapes(network: Network) -> dict[str, list[int | str]]:
    """{name: shape} of the keys and values of self-attention that go from step to step."""
    shapes: dict[str, list[int | str]] = {}
    for layer in range(network.architecture.decoder.layers):
        heads = network.self_attention("decoder", layer)
        for part in ("key", "value"):
            shapes[f"self_{part}.{layer}"] = ["rows", heads.count, "length", heads.dim]
    return shapes


def decoder_layers(
    blocks: Blocks, x: str, batch_and_beam: str, caches: Mapping[str, str]
) -> tuple[str, dict[str, str]]:
    """All decoder layers for one step.

    x (rows, embed_dim); batch_and_beam, a tensor (2,); caches {name: tensor (rows, heads, steps, head_dim)}, named as
    in `cache_shapes`, already in the order of the rows. The encoder's outputs are found by their names. Returns x and
    the caches with one more step.
    """
    graph, spans = blocks.graph, blocks.architecture.decoder.cross_attention_span
    widths = sorted({blocks.network.cross_attention(layer).width for layer in range(len(spans))})
    shapes = {width: graph.node("Concat", [batch_and_beam, graph.constant([width])], axis=0) for width in widths}
    grown: dict[str, str] = {}
    for layer, span in enumerate(spans):
        prefix = f"decoder.layers.{layer}"

        def self_attention(y: str, layer: int = layer, prefix: str = prefix) -> str:
            attended, more = _self_attention_step(blocks, y, layer, prefix, caches)
            grown.update(more)
            return attended

        def cross_attention(y: str, layer: int = layer, prefix: str = prefix, span: int = span) -> str:
            heads = blocks.network.cross_attention(layer)
            query = blocks.products.linear(y, f"{prefix}.encoder_attn.q_proj")
            key, value = f"cross_key.{layer}", f"cross_value.{layer}"
            attended = blocks.attend(
                query, key, value, heads, shapes[heads.width], bias=f"memory_bias.{span}.{heads.count}"
            )
            return blocks.products.linear(attended, f"{prefix}.encoder_attn.out_proj")

        x = blocks.residual(x, f"{prefix}.self_attn_layer_norm", self_attention)
        x = blocks.residual(x, f"{prefix}.encoder_attn_layer_norm", cross_attention)
        x = blocks.residual(x, f"{prefix}.final_layer_norm", functools.partial(blocks.feed_forward, prefix=prefix))
    return x, grown


def _self_attention_step(
    blocks: Blocks, x: str, layer: int, prefix: str, caches: Mapping[str, str]
) -> tuple[str, dict[str, str]]:
    """Attention of one new token per row to itself and to the cached ones; also the grown caches."""
    graph, heads = blocks.graph, blocks.network.self_attention("decoder", layer)
    stacked = blocks.products.linear(x, f"{prefix}.self_attn.qkv_proj")
    stacked = graph.reshape(stacked, [-1, 3 * heads.count, 1, heads.dim])
    query, *new = graph.node("Split", [stacked], 3, axis=1, num_outputs=3)
    grown = {}
    for part, fresh in zip(("key", "value"), new):
        name = f"self_{part}.{layer}"
        grown[name] = graph.node("Concat", [caches[name], fresh], [f"next_{name}"], axis=2)
    key, value = grown.values()
    attended = blocks.attend(query, key, value, heads, [-1, 1, heads.width])
    return blocks.products.linear(attended, f"{prefix}.self_attn.out_proj"), grown


def log_probabilities(blocks: Blocks, x: str) -> str:
    """x (rows, embed_dim) -> (rows, vocabulary)"""
    spec = blocks.spec
    if spec.normalize_before:
        x = blocks.layer_norm(x, "decoder.layer_norm")
    if spec.share_all_embeddings:
        name = "encoder.embed_tokens.weight"
    elif spec.share_decoder_input_output_embed:
        name = "decoder.embed_tokens.weight"
    else:
        name = "decoder.output_projection.weight"
    logits = blocks.products.logits(x, name, blocks.architecture.decoder.embed_dim)
    return blocks.graph.node("LogSoftmax", [logits], axis=-1)
