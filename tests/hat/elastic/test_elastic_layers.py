"""Elastic layers at a slice equal torch's own layers with the sliced weights."""

import numpy as np
import torch
from torch import nn

from hat.elastic.attention import ElasticCrossAttention, ElasticSelfAttention
from hat.elastic.dropout import dropout
from hat.elastic.layers import ElasticEmbedding, ElasticLayerNorm, ElasticLinear
from hat.elastic.positions import SinusoidalPositions


def assert_close(actual, expected, atol=1e-6):
    torch.testing.assert_close(actual, expected, atol=atol, rtol=0)


def test_linear_is_torchs_linear_of_the_first_rows_and_columns():
    torch.manual_seed(0)
    elastic = ElasticLinear(8, 6)
    nn.init.normal_(elastic.bias)
    elastic.activate(5, 3)
    plain = nn.Linear(5, 3)
    plain.load_state_dict({"weight": elastic.weight[:3, :5], "bias": elastic.bias[:3]})
    x = torch.randn(2, 4, 5)
    assert_close(elastic(x), plain(x))


def test_gradients_reach_only_the_active_weights():
    elastic = ElasticLinear(8, 6)
    elastic.activate(5, 3)
    elastic(torch.randn(2, 5)).sum().backward()
    assert elastic.weight.grad[:3, :5].abs().min() > 0
    assert elastic.weight.grad[3:].abs().max() == 0
    assert elastic.weight.grad[:, 5:].abs().max() == 0


def test_layer_norm_is_torchs_over_the_first_features():
    torch.manual_seed(0)
    elastic = ElasticLayerNorm(8)
    nn.init.normal_(elastic.weight)
    nn.init.normal_(elastic.bias)
    elastic.activate(5)
    plain = nn.LayerNorm(5)
    plain.load_state_dict({"weight": elastic.weight[:5], "bias": elastic.bias[:5]})
    x = torch.randn(2, 5)
    assert_close(elastic(x), plain(x))


def test_embedding_returns_the_first_features_and_its_transpose_product():
    elastic = ElasticEmbedding(10, 8, padding=1)
    tokens = torch.tensor([[2, 1, 3]])
    assert_close(elastic(tokens, 5), elastic.weight[tokens][..., :5])
    assert elastic(tokens, 5)[0, 1].abs().max() == 0
    x = torch.randn(2, 5)
    assert_close(elastic.logits(x), x @ elastic.weight[:, :5].T)


def torch_attention(qkv_dim, heads, in_weight, in_bias, out):
    """nn.MultiheadAttention of width qkv_dim with the projections around it taken as given."""
    plain = nn.MultiheadAttention(qkv_dim, heads, batch_first=True)
    identity = torch.eye(qkv_dim)
    plain.load_state_dict(
        {
            "in_proj_weight": torch.cat([identity] * 3),
            "in_proj_bias": torch.zeros(3 * qkv_dim),
            "out_proj.weight": identity,
            "out_proj.bias": torch.zeros(qkv_dim),
        }
    )

    def attend(query_input, memory, key_padding_mask=None):
        weights, biases = in_weight.chunk(3), in_bias.chunk(3)
        inputs = (query_input, memory, memory)
        q, k, v = (x @ w.T + b for x, w, b in zip(inputs, weights, biases, strict=True))
        return out(plain(q, k, v, key_padding_mask=key_padding_mask, need_weights=False)[0])

    return attend


def test_self_attention_equals_torchs_with_fewer_heads_and_features():
    torch.manual_seed(0)
    elastic = ElasticSelfAttention(embed_dim=12, qkv_dim=8, heads=4)
    nn.init.normal_(elastic.qkv_proj.bias)
    elastic.activate(embed_dim=10, heads=2)
    reference = torch_attention(8, 2, elastic.qkv_proj.weight[:, :10], elastic.qkv_proj.bias, elastic.out_proj)
    x = torch.randn(3, 5, 10)
    padding = torch.tensor([[0, 0, 0, 0, 0], [1, 0, 0, 0, 0], [0, 0, 0, 1, 1]]).bool()
    assert_close(elastic(x, ~padding[:, None, None, :]), reference(x, x, padding))


def rows_of_heads(linear, parts, heads):
    """Weight and bias of a fused projection by heads of width 4, stacked part by part, of its first heads."""
    rows = torch.arange(parts * heads * 4).view(heads, parts, 4).transpose(0, 1).flatten()
    return linear.weight[rows], linear.bias[rows]


def test_heads_of_a_fixed_width_are_the_first_rows_of_each_weight():
    torch.manual_seed(0)
    elastic = ElasticSelfAttention(embed_dim=12, qkv_dim=None, heads=5, head_dim=4)
    nn.init.normal_(elastic.qkv_proj.bias)
    x = torch.randn(3, 5, 12)
    for heads in (5, 3):
        elastic.activate(embed_dim=12, heads=heads)
        reference = torch_attention(4 * heads, heads, *rows_of_heads(elastic.qkv_proj, 3, heads), elastic.out_proj)
        assert_close(elastic(x), reference(x, x))


def test_cross_attention_of_heads_of_a_fixed_width_equals_torchs():
    torch.manual_seed(0)
    elastic = ElasticCrossAttention(embed_dim=12, encoder_embed_dim=14, qkv_dim=None, heads=5, head_dim=4)
    nn.init.normal_(elastic.kv_proj.bias)
    elastic.activate(embed_dim=12, encoder_embed_dim=14, heads=3)
    x, memory = torch.randn(3, 5, 12), torch.randn(3, 6, 14)
    plain = nn.MultiheadAttention(12, 3, kdim=14, vdim=14, batch_first=True)
    weight, bias = rows_of_heads(elastic.kv_proj, 2, 3)
    plain.load_state_dict(
        {
            "q_proj_weight": elastic.q_proj.weight[:12],
            "k_proj_weight": weight[:12],
            "v_proj_weight": weight[12:],
            "in_proj_bias": torch.cat([elastic.q_proj.bias[:12], bias]),
            "out_proj.weight": elastic.out_proj.weight[:, :12],
            "out_proj.bias": elastic.out_proj.bias,
        }
    )
    expected = plain(x, memory, memory, need_weights=False)[0]
    assert_close(elastic(x, elastic.keys_and_values(memory)), expected)


def test_cross_attention_equals_torchs_with_another_encoder_width():
    torch.manual_seed(0)
    elastic = ElasticCrossAttention(embed_dim=12, encoder_embed_dim=14, qkv_dim=8, heads=4)
    elastic.activate(embed_dim=12, encoder_embed_dim=14, heads=2)
    kv_weight, kv_bias = elastic.kv_proj.weight, elastic.kv_proj.bias
    x, memory = torch.randn(3, 5, 12), torch.randn(3, 6, 14)

    plain = nn.MultiheadAttention(8, 2, batch_first=True)
    with torch.no_grad():
        plain.in_proj_weight.copy_(torch.cat([torch.eye(8)] * 3))
        plain.in_proj_bias.zero_()
        plain.out_proj.weight.copy_(torch.eye(8))
        plain.out_proj.bias.zero_()
    query = x @ elastic.q_proj.weight.T + elastic.q_proj.bias
    key, value = (memory @ kv_weight.T + kv_bias).chunk(2, dim=-1)
    expected = elastic.out_proj(plain(query, key, value, need_weights=False)[0])
    assert_close(elastic(x, elastic.keys_and_values(memory)), expected)


def test_positions_are_the_papers_formula_counted_from_the_first_token():
    positions = SinusoidalPositions(dim=6, padding=1, initial_length=2)
    tokens = torch.tensor([[1, 1, 7, 8, 9, 7, 8]])
    index, channel = np.arange(2, 7)[:, None], np.arange(3)[None]
    angle = index / 10000 ** (channel / 2)
    expected = np.concatenate([np.sin(angle), np.cos(angle)], axis=1)[:, :4]
    found = positions.of_tokens(tokens, active=4)[0]
    np.testing.assert_allclose(found[2:].numpy(), expected, atol=1e-5)
    assert found[:2].abs().max() == 0
    np.testing.assert_allclose(positions.of_step(3, active=4).numpy(), expected[3], atol=1e-5)


def test_dropout_drops_at_its_rate_keeps_the_mean_and_passes_the_same_gradient():
    torch.manual_seed(0)
    x = torch.ones(400_003, requires_grad=True)
    y = dropout(x, 0.3, training=True)
    assert abs((y == 0).float().mean().item() - 0.3) < 0.005
    assert abs(y.mean().item() - 1) < 0.01
    y.sum().backward()
    assert_close(x.grad, y.detach())
    assert dropout(x, 0.3, training=False) is x


def test_dropout_repeats_with_its_seed():
    torch.manual_seed(7)
    first = dropout(torch.ones(100), 0.5, training=True)
    torch.manual_seed(7)
    assert_close(dropout(torch.ones(100), 0.5, training=True), first)
