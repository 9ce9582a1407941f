"""Blocks of a Transformer as ONNX nodes: attention, feed-forward and residual connections.

`x` is (rows, features), rows being all tokens of all sentences: every product is then one plain Gemm.
"""

from hat.deploy.building.products import PRODUCTS, SINGLE_ROW_PRODUCTS

LAYER_NORM_EPSILON = 1e-5


class Blocks:
    """Builds blocks into `graph` from numpy `weights` named as in `hat.architecture.complexity.parameter_shapes`.

    With `single_row`, `x` will only ever have one row.
    """

    def __init__(self, graph, architecture, spec, weights, precision, ranges=None, single_row=False):
        self.graph, self.spec, self.qkv_dim = graph, spec, architecture.qkv_dim
        products = SINGLE_ROW_PRODUCTS if single_row else PRODUCTS
        self.products = products[precision](graph, weights, ranges)
        self._weights = weights

    def layer_norm(self, x, name):
        """Layer norm over the features of `x`."""
        return self.graph.node("LayerNormalization", [x, *self._norm(name)], axis=-1, epsilon=LAYER_NORM_EPSILON)

    def residual(self, x, norm_name, function):
        """x + function(x), normalised after (post-norm) or before (pre-norm) `function`."""
        if self.spec.normalize_before:
            return self.graph.node("Add", [x, function(self.layer_norm(x, norm_name))])
        return self.layer_norm(self.graph.node("Add", [x, function(x)]), norm_name)

    def feed_forward(self, x, prefix):
        """fc2(activation(fc1(x)))"""
        hidden = self.products.linear(x, f"{prefix}.fc1")
        if self.spec.activation == "gelu":
            return self.products.linear(self.graph.contrib("Gelu", [hidden]), f"{prefix}.fc2")
        return self.products.relu_linear(hidden, f"{prefix}.fc2")

    def projected(self, x, name, parts):
        """One product of which the output is split into `parts` tensors (rows, qkv_dim)."""
        stacked = self.products.linear(x, name)
        return self.graph.node("Split", [stacked], parts, axis=1, num_outputs=parts)

    def attend(self, query, key, value, heads, shape, mask="", bias=""):
        """Scaled dot-product attention -> (rows, qkv_dim)

        query (rows, qkv_dim), given as `shape` (batch, queries, qkv_dim); key and value (batch, keys, qkv_dim) or
        (batch, heads, keys, head_dim); mask (batch, keys) int32, 1 = attend, only for queries = keys; bias (batch,
        heads, queries, keys), added to the scores.
        """
        query = self.graph.reshape(query, shape)
        inputs = [query, key, value, "", mask, bias]
        while not inputs[-1]:
            inputs.pop()
        attended = self.graph.contrib("MultiHeadAttention", inputs, num_heads=heads)
        return self.graph.reshape(attended, [-1, self.qkv_dim])

    def _norm(self, name):
        return [self.graph.weight(f"{name}.{part}", self._weights[f"{name}.{part}"]) for part in ("weight", "bias")]
