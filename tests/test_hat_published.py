"""Parameters and FLOPs of every SubTransformer that the HAT authors published, to the printed rounding."""

import json

import numpy as np
import pytest
import torch
from flop_counting import TorchprofileCounter, attention_as_hat_writes_it
from shared_data import reference_files
from tiny import HEAD_DIM_SPACE, TINY_SPACE, VOCABULARY, tiny_spec

from hat.architecture.complexity import count_flops, count_parameters
from hat.architecture.hat_format import HAT_QKV_DIM, span_from_hat
from hat.architecture.stacks import Architecture, DecoderArchitecture, EncoderArchitecture
from hat.models.translation import Transformer
from hat.models.translation_spec import ModelSpec

LENGTHS = {"iwslt": 23, "wmt": 30}  # tokens in source and target at which HAT counted FLOPs


def architecture_of(row):
    return Architecture(
        row.get("qkv_dim", HAT_QKV_DIM),
        EncoderArchitecture(
            row["encoder_embed_dim"], tuple(row["encoder_ffn_dims"]), tuple(row["encoder_self_attention_heads"])
        ),
        DecoderArchitecture(
            row["decoder_embed_dim"],
            tuple(row["decoder_ffn_dims"]),
            tuple(row["decoder_self_attention_heads"]),
            tuple(row["decoder_cross_attention_heads"]),
            tuple(span_from_hat(span) for span in row["decoder_cross_attention_span"]),
        ),
    )


def published_rows():
    lines = [line for path in reference_files("hat_published", "*.jsonl") for line in path.read_text().splitlines()]
    rows = [json.loads(line) for line in lines]
    return [pytest.param(row, id=row["name"]) for row in rows]


@pytest.mark.parametrize("row", published_rows())
def test_a_published_row_comes_out(row):
    architecture = architecture_of(row)
    length = LENGTHS["iwslt" if row["task"].startswith("iwslt") else "wmt"]
    spec = ModelSpec(1000, 1000, 640, 640)
    _, parameters = count_parameters(architecture, spec)
    assert parameters / 1e6 == pytest.approx(row["params_millions"], abs=0.005)
    flops = count_flops(architecture, spec, length, length)
    assert flops / 1e9 == pytest.approx(row["flops_billions"], abs=0.005)


@pytest.mark.parametrize("space", [TINY_SPACE, HEAD_DIM_SPACE], ids=["qkv_dim", "head_dim"])
@pytest.mark.parametrize("seed", range(4))
def test_flops_are_those_of_hats_counter(seed, space, monkeypatch):
    monkeypatch.setattr(torch.nn.functional, "scaled_dot_product_attention", attention_as_hat_writes_it)
    architecture = space.sample(np.random.default_rng(seed))
    model = Transformer(architecture, tiny_spec()).eval()
    source_length, target_length = 7, 5
    source, target = (torch.full((1, length), 4) for length in (source_length, target_length))
    with torch.no_grad(), TorchprofileCounter() as counter:
        model(source, target)
    output_layer = target_length * architecture.decoder.embed_dim * VOCABULARY
    flops = count_flops(architecture, tiny_spec(), source_length, target_length)
    assert flops == 2 * (counter.multiply_adds - output_layer)
