"""The MicroNet challenge's accounting against what the challenge's winners publish (their evaluation's output)."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from hat.accounting.micronet import account, micronet_account
from hat.accounting.network import load_network
from hat.errors import UsageError

DESCRIPTION = Path(__file__).parents[3] / "configs/accounting/micronet.yaml"
PUBLISHED = load_network(DESCRIPTION)
DENSE = replace(PUBLISHED, densities=None, cache=0, bits=32, quantisers=0)


def hat_inspect(*arguments):
    command = [sys.executable, "-m", "hat.cli.inspect", *map(str, arguments), "--accounting", "micronet"]
    return subprocess.run(command, capture_output=True, text=True)


def test_core_network_has_the_published_parameters_and_operations():
    found = micronet_account(DENSE)
    layer_norms = 8 * 4 * 256  # the authors' total of 8,304,213 holds them
    assert found["total"]["parameters"] == 8_304_213 - layer_norms
    assert found["parameters"]["counted"] / 1e6 == pytest.approx(8.3, abs=0.05)
    assert found["with_attention_of_one_head"]["operations"] / 1e6 == pytest.approx(17, abs=0.5)


def test_pruned_and_in_9_bits_it_is_what_was_published():
    found = micronet_account(PUBLISHED)
    assert found["total"]["nonzero"] == pytest.approx(5_326_376, rel=1e-4)  # densities are published rounded
    assert found["parameters"]["mask"] == pytest.approx(259_250.656, abs=0.1)
    assert found["parameters"]["quantisers"] == 97.96875
    assert found["parameters"]["counted"] == pytest.approx(1_757_391.875, rel=1e-4)
    first = found["with_attention_of_one_head"]
    assert first["operations"] == pytest.approx(8_806_715.2, rel=1e-4)
    assert first["score"] == pytest.approx(0.038746852, rel=1e-4)


def test_operations_as_first_published_by_kind():
    once = account(PUBLISHED, attention_of_one_head=True)
    assert sum(item.multiplications for item in once) == pytest.approx(6_301_457.2, rel=1e-4)
    assert sum(item.additions for item in once) == pytest.approx(6_189_183.4, rel=1e-4)
    assert sum(item.others for item in once) == 845_247


def test_the_score_counts_what_each_of_the_heads_does():
    found = micronet_account(PUBLISHED)
    once = 24 * 97 * 9 / 32 + 24 * 97 + 3 * 97 - 1  # of one head: multiplications in 9 bits, additions, softmax
    assert found["operations"] - found["with_attention_of_one_head"]["operations"] == pytest.approx(7 * 8 * once)
    assert found["score"] == pytest.approx(0.0395, abs=0.0003)


def test_a_layer_s_products_are_those_of_torch_s_own_layers():
    network = replace(DENSE, vocabulary=50, cutoffs=(), bin_dims=(), bin_shares=(), context=(97,) * 8)
    dim, width, ffn_dim = 256, 8 * 24, 768
    modules = [nn.Linear(dim, 3 * width), nn.Linear(width, dim, bias=False), nn.Linear(dim, ffn_dim)]
    modules += [nn.Linear(ffn_dim, dim), nn.Embedding(97, 24)]
    layers = 8 * sum(parameter.numel() for module in modules for parameter in module.parameters())
    items = account(network)
    assert sum(item.parameters for item in items) == layers + 50 * dim + 50
    with torch.device("meta"):
        multiplied = 8 * sum(module.weight.numel() for module in modules[:4])
    attention = 8 * 8 * 97 * 24 * 3  # keys, positions, values
    assert sum(item.multiplications for item in items) == multiplied + attention + 50 * dim


def test_command_prints_a_table_and_json():
    found = json.loads(hat_inspect(DESCRIPTION, "--json").stdout)
    assert found["score"] == micronet_account(PUBLISHED)["score"]
    assert sum(item["operations"] for item in found["items"]) == pytest.approx(found["operations"])
    table = hat_inspect(DESCRIPTION).stdout
    for item in found["items"]:
        assert item["name"] in table
    assert "score: 0.03932" in table


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"cutoffs": (3500, 300000)}, "below the vocabulary of 267735"),
        ({"bin_dims": (256, 64)}, "bin_dims: 2 values for 3 bins"),
        ({"bin_dims": (128, 64, 4)}, "it is embed_dim, 256"),
        ({"bin_shares": (0.5, 0.1, 0.1)}, "add up to 0.7"),
        ({"heads": (8,) * 7}, "heads: 7 values for 8 layers"),
        ({"densities": replace(PUBLISHED.densities, qkv=(0.5,))}, "densities.qkv: 1 values"),
    ],
)
def test_what_does_not_fit_is_refused_by_name(changes, message):
    with pytest.raises(UsageError, match=message):
        replace(PUBLISHED, **changes)


def test_other_files_and_options_without_effect_are_refused_in_one_line(tmp_path):
    (tmp_path / "other.yaml").write_text("learning: 3")
    for arguments, message in (
        ((tmp_path / "other.yaml",), "unknown key 'learning'"),
        ((DESCRIPTION, "--length", 5), "--length has no effect"),
    ):
        result = hat_inspect(*arguments)
        assert (result.returncode, result.stderr.count("\n")) == (2, 1)
        assert message in result.stderr
