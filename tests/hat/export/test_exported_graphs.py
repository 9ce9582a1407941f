"""Every graph of a bundle is checked, and halved weights are only rounded."""

import json

import numpy as np
import pytest
import torch
from deployed import SENTENCES
from exports import NAME, save_random_model

import hat.export.translation.bundle_maker as export_module
from hat.deploy.building.graph_builder import GraphBuilder
from hat.deploy.building.products import PRODUCTS
from hat.deploy.bundle import open_bundle
from hat.deploy.sessions import make_session
from hat.deploy.translator import Translator
from hat.errors import ArtifactError
from hat.export.bundles import export
from hat.models.checkpoint import save_model


def test_half_precisions_only_round_the_weights(run):
    """Of weights that 8 bits of mantissa express, nothing is lost: the translations and scores are those of fp32."""
    model = save_random_model(run, seed=4)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(parameter.bfloat16().clamp(-100, 100))
            parameter[parameter.abs() < 2**-14] = 0  # too small for float16
    save_model(run.sub(NAME), model)
    precisions = ["fp32", "fp16", "bf16"]
    export(run, NAME, precisions)
    sizes, found = {}, {}
    for precision in precisions:
        bundle = run.export(NAME) / precision
        sizes[precision] = (bundle / "weights.bin").stat().st_size
        found[precision] = Translator(bundle).translate_nbest(SENTENCES, 3)
    assert found["fp16"] == found["bf16"] == found["fp32"]
    assert sizes["fp16"] == sizes["bf16"] < 0.6 * sizes["fp32"]


@pytest.mark.parametrize(("precision", "error"), [("fp16", 2**-11), ("bf16", 2**-8)])
def test_half_precisions_round_to_nearest_and_clip(precision, error):
    weights = {"a": np.array([[1 + 1.01 * error, 1e38, -1e38, -7.3]], np.float32)}
    graph = GraphBuilder("test")
    rows = PRODUCTS[precision](graph, weights).embed(graph.input("tokens", "int64", ["rows"]), "a", 4)
    graph.output(rows, "float32", ["rows", 4])
    session = make_session(graph.model({}).SerializeToString(), 1)
    found = session.run(None, {"tokens": np.array([0])})[0][0] / 2
    expected = torch.tensor(weights["a"][0]).to({"fp16": torch.half, "bf16": torch.bfloat16}[precision])
    largest = torch.finfo(expected.dtype).max
    assert found.tolist() == expected.clamp(-largest, largest).tolist()


def test_every_graph_is_compared_for_one_sentence_and_a_batch(run):
    export(run, NAME)
    results = json.loads((run.export(NAME) / "export.json").read_text())["bundles"]
    for precision in ("fp32", "int8"):
        compared = results[precision]["check"]["graphs"]
        graphs = open_bundle(run.export(NAME) / precision).graphs().keys()
        assert compared.keys() | {"encoder"} == graphs
        assert compared["beam"]["sentences"] == compared["beam_shortlist"]["sentences"] == 1 + len(SENTENCES)
        if precision == "int8":
            assert compared["greedy_single"]["sentences"] == compared["greedy_single_shortlist"]["sentences"] == 1
    for found in results["fp32"]["check"]["graphs"].values():
        assert found["identical"] == found["sentences"]
        assert found["largest_score_difference"] < 1e-5
    different = [found["largest_score_difference"] for found in results["int8"]["check"]["graphs"].values()]
    assert min(different) > 1e-5


@pytest.mark.parametrize(
    ("graph", "precision"),
    [
        ("greedy", "fp32"),
        ("beam_shortlist", "fp32"),
        ("greedy_shortlist", "fp32"),
        ("greedy_single", "int8"),
        ("greedy_single_shortlist", "int8"),
    ],
)
def test_a_wrong_graph_is_refused_whether_the_bundles_beam_uses_it_or_not(run, monkeypatch, graph, precision):
    build = export_module.build_graphs

    def with_one_of_other_weights(architecture, spec, weights, wanted, ranges, **_):
        built = build(architecture, spec, weights, wanted, ranges)
        if wanted == precision:
            swapped = {**weights, "decoder.layers.0.fc1.bias": weights["decoder.layers.0.fc1.bias"] + 2.0}
            built |= build(architecture, spec, swapped, wanted, ranges, [graph])
        return built

    monkeypatch.setattr(export_module, "build_graphs", with_one_of_other_weights)
    with pytest.raises(ArtifactError, match=f"the exported graph {graph} searches differently"):
        export(run, NAME, [precision], allowed_drop=100)
    assert not (run.export(NAME) / precision).exists()
