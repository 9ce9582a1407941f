"""The account of a language model from its weights, against what is counted by hand in a pruned one."""

from dataclasses import replace

import pytest
import torch
from tiny_language_models import ADAPTIVE, WORDS, language_spec

from hat.accounting.micronet import micronet_account
from hat.accounting.trained import accounted
from hat.architecture.stacks import Architecture, DecoderArchitecture
from hat.models.language_model import LanguageModel

# 24 wide, one layer of 2 heads of 4, FFN 10, context 3; bins of 12, 18 and 20 words with tables of 24, 8 and 4 columns
ARCHITECTURE = Architecture(
    decoder=DecoderArchitecture(24, ffn_dim=(10,), self_attention_heads=(2,), head_dim=(4,), context=(3,))
)
SHARES = (0.5, 0.3, 0.2)
LEFT = {  # of a tensor, so many weights: the others are zero
    "embedding.tables.1.weight": 100,
    "embedding.projections.0.weight": 50,
    "decoder.layers.0.self_attn.qkv_weight": 200,
    "decoder.layers.0.fc2.weight": 33,
    "output.biases.2": 5,
    "output.projections.1.weight": 17,
}
TOTAL = (
    (12 * 24 + 18 * 8 + 20 * 4)  # tables
    + 2 * (24 * 8 + 24 * 4)  # projections, in and out
    + (2 * 3 * 4 * 24 + 2 * 3 * 4 + 24 * 8 + 3 * 4)  # attention and its positions
    + (24 * 10 + 10 + 10 * 24 + 24)  # feed-forward
    + (WORDS + 2 * 24 + 2)  # biases of words, classes
)
REMOVED = (144 - 100) + (192 - 50) + (576 - 200) + (240 - 33) + (20 - 5) + (96 - 17)
# multiplications: bins' projections by use, attention, feed-forward, tables, projections out, classes
PRODUCTS = (
    (0.3 * 50 + 0.2 * 96) + (200 + 3 * 2 * 3 * 4 + 192) + (240 + 33) + (12 * 24 + 100 + 20 * 4) + (192 + 17) + 2 * 24
)


def pruned(**options):
    model = LanguageModel(ARCHITECTURE, language_spec(**ADAPTIVE, **options))
    weights = {name: torch.ones_like(weight) for name, weight in model.state_dict().items()}
    for name, left in LEFT.items():
        weights[name].view(-1)[left:] = 0.0
    return accounted(ARCHITECTURE.decoder, model.spec, weights, SHARES)


def test_a_pruned_network_by_hand():
    found = micronet_account(pruned())
    assert found["total"]["parameters"] == TOTAL
    assert found["total"]["nonzero"] == pytest.approx(TOTAL - REMOVED)
    assert found["parameters"]["counted"] == pytest.approx(TOTAL - REMOVED + TOTAL / 32)
    assert found["total"]["multiplications"] == pytest.approx(PRODUCTS)


def test_in_nine_bits_by_hand():
    floating, found = micronet_account(pruned()), micronet_account(pruned(bits=9, bounds=(1.0,) * 11))
    # a scale for each row of a table or of an output, each distance, each vector that is added
    scales = WORDS + (24 + 24) + (24 + 24 + 3 + 1) + (10 + 24 + 2) + 3 + (8 + 4) + (2 + 1)
    size = (TOTAL - REMOVED) * 9 / 32 + TOTAL / 32 + 11 * (1 + 23 / 32) + scales
    assert found["parameters"]["counted"] == pytest.approx(size)
    assert floating["operations"] - found["operations"] == pytest.approx(PRODUCTS * 23 / 32)


def test_bins_of_its_own_widths_are_counted():
    """Those of the spec, one column narrower each."""
    narrow = Architecture(decoder=replace(ARCHITECTURE.decoder, bin_dims=(7, 3)))
    found = [
        micronet_account(accounted(each.decoder, model.spec, model.state_dict(), SHARES))["total"]
        for each in (ARCHITECTURE, narrow)
        for model in [LanguageModel(each, language_spec(**ADAPTIVE, bits=None))]
    ]
    fewer = {name: found[0][name] - found[1][name] for name in ("parameters", "multiplications")}
    assert fewer["parameters"] == (18 + 20) + 2 * (24 + 24)
    assert fewer["multiplications"] == pytest.approx((0.3 * 24 + 0.2 * 24) + (18 + 20) + (24 + 24))


def test_without_zeros_there_is_no_mask():
    model = LanguageModel(ARCHITECTURE, language_spec(**ADAPTIVE))
    weights = {name: torch.ones_like(weight) for name, weight in model.state_dict().items()}
    found = micronet_account(accounted(ARCHITECTURE.decoder, model.spec, weights, SHARES))
    assert found["parameters"]["counted"] == found["total"]["nonzero"] == TOTAL


def test_heads_and_neurons_that_are_gone_are_no_zeros_and_need_no_mask():
    """As if it had been made with one head of 4 and FFN 7; all heads share the positions."""
    model = LanguageModel(ARCHITECTURE, language_spec(**ADAPTIVE, bits=9, bounds=(1.0,) * 11))
    weights = {name: torch.ones_like(weight) for name, weight in model.state_dict().items()}
    layer = "decoder.layers.0"
    for name in ("qkv_weight", "qkv_bias"):
        weights[f"{layer}.self_attn.{name}"][1] = 0
    weights[f"{layer}.self_attn.out_weight"][:, 1] = 0
    for name in ("fc1.weight", "fc1.bias"):
        weights[f"{layer}.{name}"][[1, 4, 9]] = 0
    weights[f"{layer}.fc2.weight"][:, [1, 4, 9]] = 0
    sizes = replace(ARCHITECTURE.decoder, ffn_dim=(7,), self_attention_heads=(1,))
    smaller = LanguageModel(Architecture(decoder=sizes), model.spec)
    ones = {name: torch.ones_like(weight) for name, weight in smaller.state_dict().items()}
    found = accounted(ARCHITECTURE.decoder, model.spec, weights, SHARES)
    assert found == accounted(sizes, model.spec, ones, SHARES)
    assert (found.heads, found.ffn_dim, found.densities) == ((1,), (7,), None)
    removed = (3 * 4 * 24 + 3 * 4 + 24 * 4) + 3 * (24 + 1 + 24)
    assert micronet_account(found)["total"]["parameters"] == TOTAL - removed
