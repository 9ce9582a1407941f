"""Parameters and FLOPs of every SubTransformer that the HAT authors published, to the printed rounding."""

import json

import pytest
from shared_data import shared_data

from hat.architecture import Architecture, DecoderArchitecture, EncoderArchitecture
from hat.complexity import ModelSpec, count_flops, count_parameters
from hat.hat_format import HAT_QKV_DIM, span_from_hat

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


def test_every_published_row_comes_out():
    files = sorted(shared_data("hat_published").glob("*.jsonl"))
    rows = [json.loads(line) for path in files for line in path.read_text().splitlines()]
    if not rows:
        pytest.skip("hat_published holds no *.jsonl")
    spec = ModelSpec(1000, 1000, 640, 640)
    for row in rows:
        architecture = architecture_of(row)
        length = LENGTHS["iwslt" if row["task"].startswith("iwslt") else "wmt"]
        _, parameters = count_parameters(architecture, spec)
        assert parameters / 1e6 == pytest.approx(row["params_millions"], abs=0.00501), row["name"]
        flops = count_flops(architecture, length, length)
        assert flops / 1e9 == pytest.approx(row["flops_billions"], abs=0.00501), row["name"]
