"""Classifiers: extraction, torch's own layers as reference, counts, padding, and checkpoints on disk."""

import dataclasses
import json

import numpy as np
import pytest
import torch
from flop_counting import TorchprofileCounter, attention_as_hat_writes_it
from tiny_classifiers import CLASSIFIER_SPACE, KINDS, LABELS, PADDING, classifier_spec, pairs_batch, shaken
from torch import nn

from hat.architecture.complexity import count_flops, count_parameters, parameter_shapes
from hat.architecture.space import EncoderSpace, SearchSpace
from hat.architecture.stacks import Architecture, EncoderArchitecture
from hat.errors import ArtifactError, DataError, UsageError
from hat.models.checkpoint import load_model, load_spec, load_weights, save_model
from hat.models.classification import Classifier, SuperClassifier

QKV_DIM_SPACE = SearchSpace(16, dataclasses.replace(CLASSIFIER_SPACE.encoder, self_attention_heads=(4, 2)))


def drawn(count, space):
    rng = np.random.default_rng(0)
    return [space.sample(rng) for _ in range(count)] + [space.smallest(), space.largest()]


@pytest.mark.parametrize("space", [CLASSIFIER_SPACE, QKV_DIM_SPACE], ids=["head_dim", "qkv_dim"])
@pytest.mark.parametrize("kind", KINDS)
def test_extracted_equals_active_and_holds_only_its_own_weights(kind, space):
    model = shaken(SuperClassifier(space, classifier_spec(**KINDS[kind])))
    for architecture in drawn(5, space):
        model.activate(architecture)
        extracted = model.extract(architecture)
        with torch.no_grad():
            logits = extracted(*pairs_batch())
            torch.testing.assert_close(logits, model(*pairs_batch()), atol=1e-5, rtol=0)
        assert logits.shape == (4, len(LABELS))
        shapes = {name: tuple(weight.shape) for name, weight in extracted.state_dict().items()}
        assert list(shapes.items()) == list(parameter_shapes(architecture, model.spec).items())
        assert sum(weight.numel() for weight in extracted.parameters()) == count_parameters(architecture, model.spec)[0]


def test_a_smaller_space_inherits_the_first_rows_and_columns():
    network = shaken(Classifier(CLASSIFIER_SPACE.largest(), classifier_spec(**KINDS["like BERT"])))
    encoder = EncoderSpace(embed_dim=(16,), layers=(2, 1), ffn_dim=(32, 20), self_attention_heads=(3, 1))
    space = SearchSpace(encoder=encoder, head_dim=4)
    whole = SuperClassifier(CLASSIFIER_SPACE, network.spec)
    whole.load_state_dict(network.state_dict())
    inheriting = SuperClassifier.inheriting(space, network)
    for architecture in drawn(2, space):
        inheriting.activate(architecture)
        whole.eval()._activate(architecture)
        with torch.no_grad():
            torch.testing.assert_close(inheriting(*pairs_batch()), whole(*pairs_batch()), atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"embed_dim": (24, 32)}, "search_space.encoder.embed_dim: 32 is above the 24 of the network to begin from"),
        ({"layers": (4,)}, "search_space.encoder.layers: 4 is above the 3 .*; use at most 3"),
        ({"ffn_dim": (40,)}, "search_space.encoder.ffn_dim: 40 is above the 32"),
        ({"self_attention_heads": (6, 1)}, "search_space.encoder.self_attention_heads: 6 is above the 5"),
    ],
)
def test_a_space_larger_than_the_network_to_begin_from_is_refused(change, message):
    space = SearchSpace(encoder=dataclasses.replace(CLASSIFIER_SPACE.encoder, **change), head_dim=4)
    with pytest.raises(UsageError, match=message):
        SuperClassifier.inheriting(space, Classifier(CLASSIFIER_SPACE.largest(), classifier_spec()))


def torchs_encoder(classifier):
    """nn.TransformerEncoder with the encoder layers' weights of a classifier whose heads fill embed_dim."""
    architecture, spec = classifier.architecture, classifier.spec
    (dim, ffn_dim, heads), layers = (24, 32, 6), architecture.encoder.layers
    layer = nn.TransformerEncoderLayer(
        dim, heads, ffn_dim, 0.0, spec.activation, spec.layer_norm_epsilon, True, spec.normalize_before
    )
    norm = nn.LayerNorm(dim, spec.layer_norm_epsilon) if spec.normalize_before else None
    plain = nn.TransformerEncoder(layer, layers, norm, enable_nested_tensor=False).eval()
    names = {
        "self_attn.qkv_proj.": "self_attn.in_proj_",
        "self_attn_layer_norm.": "norm1.",
        "final_layer_norm.": "norm2.",
        "fc1.": "linear1.",
        "fc2.": "linear2.",
        "encoder.layer_norm.": "encoder.norm.",
    }
    weights = {}
    for name, weight in classifier.state_dict().items():
        if architecture.head_dim and "qkv_proj" in name:  # torch stacks all queries, then all keys, then all values
            weight = weight.unflatten(0, (heads, 3, -1)).transpose(0, 1).flatten(0, 2)
        for ours, torchs in names.items():
            name = name.replace(ours, torchs)
        if name.startswith(("encoder.layers.", "encoder.norm.")):
            weights[name.removeprefix("encoder.")] = weight
    plain.load_state_dict(weights)
    return plain


@pytest.mark.parametrize("widths", [{"qkv_dim": 24}, {"head_dim": 4}], ids=str)
@pytest.mark.parametrize("kind", KINDS)
def test_layers_compute_what_torchs_own_do(kind, widths):
    architecture = Architecture(encoder=EncoderArchitecture(24, (32,) * 2, (6,) * 2), **widths)
    classifier = shaken(Classifier(architecture, classifier_spec(**KINDS[kind])))
    tokens, segments = pairs_batch()
    with torch.no_grad():
        embedded, *_, last = classifier.states(tokens, segments)
        expected = torchs_encoder(classifier)(embedded, src_key_padding_mask=tokens.eq(PADDING))
    present = tokens.ne(PADDING)
    torch.testing.assert_close(last[present], expected[present], atol=1e-5, rtol=0)


@pytest.mark.parametrize("kind", KINDS)
def test_padding_changes_nothing(kind):
    classifier = shaken(Classifier(CLASSIFIER_SPACE.largest(), classifier_spec(**KINDS[kind])))
    tokens, segments = pairs_batch()
    with torch.no_grad():
        together = classifier(tokens, segments)
        for row, length in enumerate(tokens.ne(PADDING).sum(dim=1)):
            alone = classifier(tokens[row : row + 1, :length], segments[row : row + 1, :length])
            torch.testing.assert_close(together[row : row + 1], alone, atol=1e-5, rtol=0)


def test_order_and_segments_count():
    classifier = shaken(Classifier(CLASSIFIER_SPACE.largest(), classifier_spec(**KINDS["like BERT"])))
    tokens, segments = pairs_batch()
    with torch.no_grad():
        logits = classifier(tokens, segments)
        assert (logits[:2] - classifier(tokens)[:2]).abs().min() > 1e-4
        swapped = tokens.index_select(1, torch.tensor([0, 2, 1, *range(3, 12)]))
        assert (logits - classifier(swapped, segments)).abs().max() > 1e-4


def test_a_text_beyond_the_learned_positions_is_refused():
    classifier = Classifier(CLASSIFIER_SPACE.largest(), classifier_spec())
    with pytest.raises(DataError, match="17 tokens is longer than the model's 16"):
        classifier(torch.ones(1, 17, dtype=torch.long))


@pytest.mark.parametrize("kind", KINDS)
def test_flops_are_those_of_hats_counter(kind, monkeypatch):
    monkeypatch.setattr(nn.functional, "scaled_dot_product_attention", attention_as_hat_writes_it)
    length, spec = 9, classifier_spec(**KINDS[kind])
    for architecture in drawn(2, CLASSIFIER_SPACE):
        classifier = Classifier(architecture, spec).eval()
        with torch.no_grad(), TorchprofileCounter() as counter:
            classifier(torch.full((1, length), 4))
        output_layer = architecture.encoder.embed_dim * len(LABELS)
        assert count_flops(architecture, spec, length, 0) == 2 * (counter.multiply_adds - output_layer)


@pytest.mark.parametrize("whole", [True, False], ids=["super", "sub"])
def test_saved_classifiers_come_back(tmp_path, whole):
    model = shaken(SuperClassifier(CLASSIFIER_SPACE, classifier_spec(**KINDS["like BERT"])))
    model = model if whole else model.extract(CLASSIFIER_SPACE.smallest())
    save_model(tmp_path, model)
    loaded = load_model(tmp_path)
    assert type(loaded) is type(model)
    assert load_spec(tmp_path) == model.spec
    with torch.no_grad():
        torch.testing.assert_close(loaded(*pairs_batch()), model(*pairs_batch()), atol=0, rtol=0)
    if not whole:
        architecture, spec, weights = load_weights(tmp_path)
        assert (architecture, spec) == (model.architecture, model.spec)
        np.testing.assert_array_equal(weights["pooler.weight"], model.pooler.weight.detach())


def test_a_model_of_an_unknown_task_is_refused(tmp_path):
    save_model(tmp_path, Classifier(CLASSIFIER_SPACE.smallest(), classifier_spec()))
    path = tmp_path / "model.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"task": "painting"}))
    with pytest.raises(ArtifactError, match="task 'painting' is unknown here"):
        load_model(tmp_path)
