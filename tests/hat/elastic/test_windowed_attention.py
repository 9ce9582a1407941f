"""Attention to the last positions against one score at a time, whatever the lengths, and read in parts."""

import math

import pytest
import torch

from hat.elastic.windowed_attention import ElasticWindowedAttention


def attention(**active):
    torch.manual_seed(0)
    module = ElasticWindowedAttention(embed_dim=12, heads=3, head_dim=4, context=6).eval()
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.normal_(std=0.5)
    module.activate(**{"embed_dim": 12, "heads": 3, "head_dim": 4, "context": 6, **active})
    return module


def one_score_at_a_time(module, x):
    """(q . k + q . e) / sqrt(d), softmax, values, and the output projection, with plain loops."""
    query_rows, key_rows, value_rows = (module.qkv_weight[:, part] for part in range(3))
    result = torch.zeros(x.size(0), x.size(1), module.embed_dim)
    for text in range(x.size(0)):
        for here in range(x.size(1)):
            for head in range(module.heads):

                def projected(rows, part, place, text=text, head=head):
                    rows = rows[head, : module.head_dim, : module.embed_dim]
                    return rows @ x[text, place] + module.qkv_bias[head, part, : module.head_dim]

                query, scores, values = projected(query_rows, 0, here), [], []
                for there in range(max(0, here - module.context + 1), here + 1):
                    by_distance = module.positions[here - there, : module.head_dim]
                    score = query @ projected(key_rows, 1, there) + query @ by_distance
                    scores.append(score / math.sqrt(module.head_dim))
                    values.append(projected(value_rows, 2, there))
                mixed = torch.softmax(torch.stack(scores), 0) @ torch.stack(values)
                result[text, here] += module.out_weight[: module.embed_dim, head, : module.head_dim] @ mixed
    return result


@pytest.mark.parametrize(
    "active",
    [{}, {"heads": 2, "head_dim": 3}, {"embed_dim": 8, "context": 4}, {"context": 1}, {"context": 2, "heads": 1}],
)
@pytest.mark.parametrize("time", [1, 3, 6, 13, 15])
def test_it_equals_one_score_at_a_time(active, time):
    module = attention(**active)
    x = torch.randn(2, time, module.embed_dim)
    with torch.no_grad():
        found, (key, value) = module(x)
        torch.testing.assert_close(found, one_score_at_a_time(module, x), atol=1e-5, rtol=0)
    kept = min(time, module.context - 1)
    assert key.shape == value.shape == (2, module.heads, kept, module.head_dim)


@pytest.mark.parametrize("parts", [[1] * 16, [5, 11], [2, 1, 9, 4], [16]])
@pytest.mark.parametrize("context", [6, 3, 1])
def test_text_in_parts_gives_what_the_whole_gives(parts, context):
    module = attention(context=context)
    x, memory, found = torch.randn(2, sum(parts), 12), None, []
    with torch.no_grad():
        for part in x.split(parts, dim=1):
            output, memory = module(part, memory)
            found.append(output)
        torch.testing.assert_close(torch.cat(found, 1), module(x)[0], atol=1e-5, rtol=0)


def test_gradients_flow_through_the_segment_as_far_as_the_context_reaches():
    module, x = attention(context=4), torch.randn(1, 12, 12, requires_grad=True)
    module(x)[0][0, 9].sum().backward()
    assert x.grad[0].abs().sum(-1).gt(0).nonzero().flatten().tolist() == [6, 7, 8, 9]


def test_gradients_reach_only_the_active_weights():
    module = attention(embed_dim=8, heads=2, head_dim=3, context=4)
    module(torch.randn(2, 9, 8))[0].sum().backward()
    for name, active in (("qkv_weight", (2, 3, 3, 8)), ("out_weight", (8, 2, 3)), ("positions", (4, 3))):
        gradient = getattr(module, name).grad
        inside = gradient[tuple(map(slice, active))]
        assert inside.abs().sum() > 0
        assert gradient.abs().sum() == pytest.approx(inside.abs().sum())
