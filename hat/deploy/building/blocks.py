"""Blocks of a Transformer as ONNX nodes: attention, feed-forward and residual connections.

`x` is (rows, features), rows being all tokens of all sentences: every product is then one plain Gemm.
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from onnx import TensorProto

from hat.deploy.building.graph_builder import GraphBuilder
from hat.deploy.building.network import Heads, Network
from hat.deploy.building.products import PRODUCTS, Products

HIDDEN = -1e4  # added to attention scores of padding: the softmax makes it an exact zero


class Blocks:
    """Builds blocks of a Network into `graph`; `products` {precision: class} are the matrix products to use."""

    def __init__(
        self, graph: GraphBuilder, network: Network, products: Mapping[str, type[Products]] = PRODUCTS
    ) -> None:
        self.graph, self.network = graph, network
        self.spec, self.architecture, self.weights = network.spec, network.architecture, network.weights
        self.products = products[network.precision](graph, network.weights, network.ranges)

    def token_mask(self, tokens: str) -> str:
        """int32 of the shape of `tokens`: 1 where there is one, 0 where there is padding."""
        present = self.graph.node("Not", [self.graph.node("Equal", [tokens, self.graph.constant(self.spec.padding)])])
        return self.graph.node("Cast", [present], to=TensorProto.INT32)

    def hidden_bias(self, mask: str) -> str:
        """(batch, 1, 1, time) of a `token_mask`, to be added to scores: 0 for tokens, HIDDEN for padding."""
        graph = self.graph
        absent = graph.node("Cast", [graph.node("Sub", [graph.constant(1, np.int32), mask])], to=TensorProto.FLOAT)
        hidden = graph.node("Mul", [absent, graph.constant(HIDDEN, np.float32)])
        return graph.node("Unsqueeze", [hidden, graph.constant([1, 2])])

    def layer_norm(self, x: str, name: str) -> str:
        """Layer norm over the features of `x`."""
        epsilon = self.spec.layer_norm_epsilon
        return self.graph.node("LayerNormalization", [x, *self._norm(name)], axis=-1, epsilon=epsilon)

    def residual(self, x: str, norm_name: str, function: Callable[[str], str]) -> str:
        """x + function(x), normalised after (post-norm) or before (pre-norm) `function`."""
        if self.spec.normalize_before:
            return self.graph.node("Add", [x, function(self.layer_norm(x, norm_name))])
        return self.layer_norm(self.graph.node("Add", [x, function(x)]), norm_name)

    def feed_forward(self, x: str, prefix: str) -> str:
        """fc2(activation(fc1(x)))"""
        hidden = self.products.linear(x, f"{prefix}.fc1")
        if self.spec.activation == "gelu":
            return self.products.linear(self.graph.contrib("Gelu", [hidden]), f"{prefix}.fc2")
        return self.products.relu_linear(hidden, f"{prefix}.fc2")

    def projected(self, x: str, name: str, parts: int) -> list[str]:
        """One product of which the output is split into `parts` tensors (rows, Q)."""
        stacked = self.products.linear(x, name)
        return self.graph.node("Split", [stacked], parts, axis=1, num_outputs=parts)

    def attend(
        self, query: str, key: str, value: str, heads: Heads, shape: str | Sequence[int], mask: str = "", bias: str = ""
    ) -> str:
        """Scaled dot-product attention -> (rows, Q), Q being the width of all heads.

        query (rows, Q), given as `shape` (batch, queries, Q); key and value (batch, keys, Q) or (batch, heads, keys,
        head_dim); mask (batch, keys) int32, 1 = attend, only for queries = keys; bias (batch, heads, queries, keys),
        added to the scores.
        """
        query = self.graph.reshape(query, shape)
        inputs = [query, key, value, "", mask, bias]
        while not inputs[-1]:
            inputs.pop()
        attended = self.graph.contrib("MultiHeadAttention", inputs, num_heads=heads.count)
        return self.graph.reshape(attended, [-1, heads.width])

    def _norm(self, name: str) -> list[str]:
        return [self.graph.weight(f"{name}.{part}", self.weights[f"{name}.{part}"]) for part in ("weight", "bias")]
