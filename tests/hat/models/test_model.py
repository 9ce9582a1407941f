"""The SuperTransformer: extraction, incremental decoding, padding, and checkpoints on disk."""

import dataclasses

import numpy as np
import pytest
import torch
from tiny import HEAD_DIM_SPACE, TINY_SPACE, VOCABULARY, tiny_spec

from hat.architecture.complexity import count_parameters, parameter_shapes
from hat.errors import ArtifactError, UsageError
from hat.models.checkpoint import load_model, load_weights, save_model
from hat.models.translation import SuperTransformer, Transformer

SPECS = {
    "shared": tiny_spec(),
    "separate": tiny_spec(share_all_embeddings=False, share_decoder_input_output_embed=False),
    "tied decoder": tiny_spec(share_all_embeddings=False),
    "pre-norm gelu": tiny_spec(normalize_before=True, activation="gelu"),
}


def sampled(count, seed=0, space=TINY_SPACE):
    rng = np.random.default_rng(seed)
    return [space.sample(rng) for _ in range(count)] + [space.smallest(), space.largest()]


def supertransformer(spec, space=TINY_SPACE):
    torch.manual_seed(1)
    model = SuperTransformer(space, spec).eval()
    with torch.no_grad():  # biases start at zero and norms at one: make them count
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return model


def batch():
    torch.manual_seed(2)
    src = torch.randint(4, VOCABULARY, (3, 7))
    src[1, :3] = 1
    prev = torch.randint(4, VOCABULARY, (3, 5))
    prev[:, 0] = 2
    return src, prev


@pytest.mark.parametrize("space", [TINY_SPACE, HEAD_DIM_SPACE], ids=["qkv_dim", "head_dim"])
@pytest.mark.parametrize("name", SPECS)
def test_extracted_equals_active_and_holds_only_its_own_weights(name, space):
    model, (src, prev) = supertransformer(SPECS[name], space), batch()
    for architecture in sampled(5, space=space):
        model.activate(architecture)
        extracted = model.extract(architecture)
        with torch.no_grad():
            torch.testing.assert_close(extracted(src, prev), model(src, prev), atol=1e-5, rtol=0)
        shapes = {key: tuple(value.shape) for key, value in extracted.state_dict().items()}
        assert shapes == parameter_shapes(architecture, model.spec)
        assert sum(p.numel() for p in extracted.parameters()) == count_parameters(architecture, model.spec)[0]


@pytest.mark.parametrize("space", [TINY_SPACE, HEAD_DIM_SPACE], ids=["qkv_dim", "head_dim"])
@pytest.mark.parametrize("name", SPECS)
def test_incremental_equals_full_decoding(name, space):
    model, (src, prev) = supertransformer(SPECS[name], space), batch()
    for architecture in sampled(3, seed=5, space=space):
        model.activate(architecture)
        with torch.no_grad():
            encoded, cache = model.encoder(src), model.decoder.new_cache()
            full = model.decoder(prev, encoded)
            steps = [model.decoder(prev[:, : step + 1], encoded, cache) for step in range(prev.size(1))]
        torch.testing.assert_close(torch.cat(steps, dim=1), full, atol=1e-5, rtol=0)


def test_reordered_cache_continues_the_chosen_hypotheses():
    model, (src, prev) = supertransformer(SPECS["shared"]), batch()
    order = torch.tensor([2, 0, 0])
    with torch.no_grad():
        encoded, cache = model.encoder(src), model.decoder.new_cache()
        model.decoder(prev[:, :1], encoded, cache)
        model.decoder(prev[:, :2], encoded, cache)
        cache.reorder(order)
        step = model.decoder(prev[order][:, :3], encoded.select(order), cache)
        full = model.decoder(prev[order][:, :3], model.encoder(src[order]))
    torch.testing.assert_close(step[:, 0], full[:, 2], atol=1e-5, rtol=0)


def test_padding_on_either_side_changes_nothing():
    model, (_, prev) = supertransformer(SPECS["shared"]), batch()
    model.activate(TINY_SPACE.largest())
    tokens, padding = torch.tensor([[5, 6, 7, 2]]), torch.ones(1, 3, dtype=torch.long)
    with torch.no_grad():
        alone = model(tokens, prev[:1])
        left = model(torch.cat([padding, tokens], dim=1), prev[:1])
        right = model(torch.cat([tokens, padding], dim=1), prev[:1])
    torch.testing.assert_close(left, alone, atol=1e-5, rtol=0)
    torch.testing.assert_close(right, alone, atol=1e-5, rtol=0)


def test_dropout_is_scaled_by_the_active_width():
    model = SuperTransformer(TINY_SPACE, tiny_spec(dropout=0.3))
    model.activate(TINY_SPACE.smallest())
    assert model.encoder.dropout == pytest.approx(0.3 * 16 / 24)
    assert model.decoder.layers[0].residual_dropout == pytest.approx(0.3 * 12 / 24)
    extracted = model.extract(TINY_SPACE.smallest())
    assert extracted.encoder.layers[0].residual_dropout == pytest.approx(0.3 * 16 / 24)


def test_foreign_architecture_is_refused():
    model = supertransformer(SPECS["shared"])
    foreign = dataclasses.replace(TINY_SPACE.largest(), qkv_dim=32)
    with pytest.raises(UsageError, match="qkv_dim 32"):
        model.activate(foreign)


@pytest.mark.parametrize("kind", ["super", "sub"])
def test_saved_model_comes_back(tmp_path, kind):
    model, (src, prev) = supertransformer(SPECS["separate"]), batch()
    model = model if kind == "super" else model.extract(TINY_SPACE.smallest())
    save_model(tmp_path, model)
    loaded = load_model(tmp_path)
    assert type(loaded) is type(model)
    assert loaded.architecture == model.architecture
    with torch.no_grad():
        torch.testing.assert_close(loaded(src, prev), model(src, prev), atol=0, rtol=0)


def test_weights_load_without_torch_tensors(tmp_path):
    extracted = supertransformer(SPECS["shared"]).extract(TINY_SPACE.smallest())
    save_model(tmp_path, extracted)
    architecture, spec, weights = load_weights(tmp_path)
    assert architecture == TINY_SPACE.smallest()
    assert spec == extracted.spec
    np.testing.assert_array_equal(
        weights["encoder.layers.0.fc1.weight"], extracted.encoder.layers[0].fc1.weight.detach()
    )


def test_damaged_checkpoints_are_refused_by_name(tmp_path):
    with pytest.raises(ArtifactError, match="model.json is missing"):
        load_model(tmp_path)
    save_model(tmp_path, supertransformer(SPECS["shared"]))
    weights = tmp_path / "model.safetensors"
    with pytest.raises(ArtifactError, match="SuperTransformer"):
        load_weights(tmp_path)
    whole = weights.read_bytes()
    weights.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ArtifactError, match="truncated"):
        load_model(tmp_path)
    weights.unlink()
    with pytest.raises(ArtifactError, match="model.safetensors is missing"):
        load_model(tmp_path)
    (tmp_path / "model.json").write_text('{"format": "something else"}')
    with pytest.raises(ArtifactError, match="does not describe a HAT model"):
        load_model(tmp_path)


def test_weights_of_another_model_are_refused_listing_all_that_differs(tmp_path):
    save_model(tmp_path / "a", supertransformer(SPECS["shared"]))
    save_model(tmp_path / "b", Transformer(TINY_SPACE.smallest(), SPECS["shared"]))
    (tmp_path / "b" / "model.safetensors").replace(tmp_path / "a" / "model.safetensors")
    with pytest.raises(ArtifactError, match=r"missing encoder\.layers\.1.*and \d+ more"):
        load_model(tmp_path / "a")
