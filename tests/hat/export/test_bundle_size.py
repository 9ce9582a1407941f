"""Sizes of bundles as predicted, against the folders that are written."""

import numpy as np
import pytest
from deployed import torch_model, train_tokenizer
from tiny_run import make_run

from hat.architecture.complexity import parameter_shapes
from hat.architecture.space import DecoderSpace, EncoderSpace, SearchSpace
from hat.data.translation.prepared import PreparedData
from hat.deploy.building.bundle_writer import write_bundle
from hat.deploy.building.graphs import build_graphs
from hat.deploy.bundle import open_bundle
from hat.experiment.run_directory import mark_done
from hat.export.bundles import export
from hat.export.translation.bundle_size import BundleSize, ModelSize
from hat.models.checkpoint import save_model
from hat.models.translation_spec import ModelSpec

# Widths above and below the size from which a constant lies outside of the graphs; some are no multiples of 16.
SPACE = SearchSpace(
    qkv_dim=64,
    encoder=EncoderSpace(
        embed_dim=(200, 128, 72), layers=(3, 2, 1), ffn_dim=(512, 256, 100), self_attention_heads=(4, 2)
    ),
    decoder=DecoderSpace(
        embed_dim=(200, 128, 64),
        layers=(3, 2, 1),
        ffn_dim=(512, 300, 96),
        self_attention_heads=(4, 2),
        cross_attention_heads=(4, 2),
        cross_attention_span=(1, 2, 3),
    ),
)
MODELS = {
    "tied": {},
    "apart, pre-norm, gelu": {
        "share_all_embeddings": False,
        "share_decoder_input_output_embed": False,
        "normalize_before": True,
        "activation": "gelu",
    },
}


def random_weights(architecture, spec, rng):
    shapes = parameter_shapes(architecture, spec)
    return {name: rng.standard_normal(shape, dtype=np.float32) for name, shape in shapes.items()}


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_graphs_and_weights_take_hardly_less_than_predicted_and_never_more(tmp_path, precision, model):
    rng = np.random.default_rng(7)
    spec = ModelSpec(500, 500, encoder_position_dim=200, decoder_position_dim=200, **MODELS[model])
    predicted = ModelSize(SPACE, spec, precision)
    tokenizer = train_tokenizer(tmp_path / "tokenizer.model")
    for number, architecture in enumerate([SPACE.smallest(), SPACE.largest(), *(SPACE.sample(rng) for _ in range(6))]):
        bundle = tmp_path / str(number)
        graphs = build_graphs(architecture, spec, random_weights(architecture, spec, rng), precision)
        write_bundle(bundle, graphs, {"source": tokenizer, "target": tokenizer}, {})
        size = sum(path.stat().st_size for path in [bundle / "weights.bin", *bundle.glob("*.onnx")])
        assert size <= predicted(architecture) <= 1.03 * size, architecture


def test_an_exported_bundle_has_the_predicted_size(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run = make_run(tmp_path)
    prepared, rng = PreparedData(run.data), np.random.default_rng(3)
    spec = run.config.model_spec(prepared.source_vocabulary, prepared.target_vocabulary)
    predicted = {precision: BundleSize(run, precision) for precision in ("fp32", "int8")}
    for number in range(2):
        architecture, name = run.config.search_space.sample(rng), f"chosen{number}"
        save_model(run.sub(name), torch_model(architecture, spec, random_weights(architecture, spec, rng)))
        mark_done(run.sub(name), number, [])
        export(run, name, allowed_drop=float("inf"))
        for precision, size_of in predicted.items():
            size = open_bundle(run.export(name) / precision).size_bytes
            assert size <= size_of(architecture) <= 1.05 * size


def test_what_the_shortlist_takes_is_learnt_once(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run = make_run(tmp_path)
    first = BundleSize(run, "int8")
    monkeypatch.setattr("hat.export.translation.bundle_size.learn_shortlist", lambda *_: pytest.fail("it is known"))
    smallest = run.config.search_space.smallest()
    assert BundleSize(run, "int8")(smallest) == first(smallest)
