"""Pretrained folders in Hugging Face's layout: the same logits as `transformers`; one line for what can't be loaded."""

import json

import pytest
import torch
from safetensors.torch import load_file, save_file

from hat.architecture.complexity import count_parameters
from hat.errors import ArtifactError
from hat.models.classification import Classifier
from hat.models.pretrained import load_pretrained

LABELS = ("negative", "positive", "neutral")
VOCABULARY, FIRST, SEPARATOR = 40, 2, 3
SIZES = {"hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 3, "intermediate_size": 36}
KINDS = {
    "Bert": {**SIZES, "max_position_embeddings": 20},
    "Roberta": {**SIZES, "max_position_embeddings": 22, "type_vocab_size": 1, "layer_norm_eps": 1e-5},
    "DistilBert": {"dim": 24, "n_layers": 2, "n_heads": 3, "hidden_dim": 36, "max_position_embeddings": 20},
}


@pytest.fixture(scope="module")
def transformers():
    return pytest.importorskip("transformers")


def peer(transformers, name, purpose="ForSequenceClassification", **options):
    """A randomly initialised model of `transformers`, every weight of which counts."""
    names = {"id2label": dict(enumerate(LABELS)), "label2id": {label: row for row, label in enumerate(LABELS)}}
    config = getattr(transformers, f"{name}Config")(vocab_size=VOCABULARY, **KINDS[name], **names, **options)
    torch.manual_seed(0)
    model = getattr(transformers, name + purpose)(config)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    return model.eval()


def saved(folder, model):
    model.save_pretrained(folder)
    return folder


def loaded(folder, labels=LABELS):
    architecture, spec, weights = load_pretrained(folder, labels, FIRST, SEPARATOR)
    classifier = Classifier(architecture, spec).eval()
    classifier.load_state_dict(weights)
    return classifier


def inputs(spec):
    """Pairs of texts of several lengths as the kind writes them, padded on the right: (tokens, segments) (4, 20)."""
    torch.manual_seed(3)
    tokens, segments = torch.full((4, 20), spec.padding), torch.zeros(4, 20, dtype=torch.long)
    for row, (first, second) in enumerate([(8, 9), (1, 1), (6, 0), (2, 5)]):
        end = first + second + 3
        tokens[row, :end] = torch.randint(4, VOCABULARY, (end,))
        tokens[row, [0, first + 1, end - 1]] = torch.tensor([FIRST, SEPARATOR, SEPARATOR])
        segments[row, first + 2 : end] = int(spec.segments > 1)
    return tokens, segments


def asked(model, tokens, segments):
    with torch.no_grad():
        options = {"token_type_ids": segments} if model.config.model_type == "bert" else {}
        return model(tokens, attention_mask=tokens.ne(model.config.pad_token_id).long(), **options)


@pytest.mark.parametrize("name", KINDS)
def test_logits_are_those_of_transformers(tmp_path, transformers, name):
    model = peer(transformers, name)
    classifier = loaded(saved(tmp_path, model))
    batch = inputs(classifier.spec)
    with torch.no_grad():
        logits = classifier(*batch)
    expected = asked(model, *batch).logits
    torch.testing.assert_close(logits, expected, atol=1e-4, rtol=0)
    assert expected.std(dim=0).min() > 0.01  # the texts differ, so equal logits say something
    dropped = 24 * (2 if name == "Roberta" else 0)  # RoBERTa's positions of padding
    total, _ = count_parameters(classifier.architecture, classifier.spec)
    assert total + dropped == sum(weight.numel() for weight in model.parameters())


@pytest.mark.parametrize("name", KINDS)
def test_a_network_without_a_head_gets_a_new_one(tmp_path, transformers, name):
    model = peer(transformers, name, "Model")
    classifier = loaded(saved(tmp_path, model), ("good", "bad"))
    batch = inputs(classifier.spec)
    present = batch[0].ne(classifier.spec.padding)
    with torch.no_grad():
        state, logits = classifier.states(*batch)[-1], classifier(*batch)
    expected = asked(model, *batch)
    torch.testing.assert_close(state[present], expected.last_hidden_state[present], atol=1e-4, rtol=0)
    if name == "Bert":
        pooled = torch.tanh(classifier.pooler(state[:, 0]))
        torch.testing.assert_close(pooled.detach(), expected.pooler_output, atol=1e-4, rtol=0)
    assert logits.shape == (4, 2)
    with torch.no_grad():
        torch.testing.assert_close(loaded(tmp_path, ("good", "bad"))(*batch), logits, atol=0, rtol=0)


def test_a_head_follows_the_names_of_its_labels(tmp_path, transformers):
    classifier = loaded(saved(tmp_path, peer(transformers, "Bert")))
    batch, turned = inputs(classifier.spec), loaded(tmp_path, ("Neutral", "Negative", "Positive"))
    with torch.no_grad():
        torch.testing.assert_close(turned(*batch), classifier(*batch)[:, [2, 0, 1]], atol=0, rtol=0)


def test_old_names_of_layer_norms_load(tmp_path, transformers):
    before = loaded(saved(tmp_path, peer(transformers, "Bert")))
    path = tmp_path / "model.safetensors"
    old = {"LayerNorm.weight": "LayerNorm.gamma", "LayerNorm.bias": "LayerNorm.beta"}
    tensors = {}
    for name, tensor in load_file(path).items():
        for new_name, old_name in old.items():
            name = name.replace(new_name, old_name)
        tensors[name] = tensor
    save_file(tensors, path)
    after = loaded(tmp_path).state_dict()
    assert all(torch.equal(weight, after[name]) for name, weight in before.state_dict().items())


def changed_config(**changes):
    def damage(folder):
        path = folder / "config.json"
        config = json.loads(path.read_text()) | changes
        path.write_text(json.dumps({key: value for key, value in config.items() if value is not None}))

    return damage


def only_pickled(folder):
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")


def without_a_weight(folder):
    tensors = load_file(folder / "model.safetensors")
    del tensors["bert.encoder.layer.1.intermediate.dense.bias"]
    save_file(tensors, folder / "model.safetensors")


def truncated(folder):
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:1000])


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (changed_config(model_type="gpt2"), "model_type 'gpt2' is not supported; use one of bert, roberta, distilbert"),
        (changed_config(position_embedding_type="relative_key"), "position_embedding_type 'relative_key'"),
        (changed_config(hidden_act="gelu_new"), "hidden_act 'gelu_new' is not supported"),
        (changed_config(num_attention_heads=None), "key 'num_attention_heads' is missing"),
        (changed_config(num_attention_heads=5), "5 heads do not divide hidden_size 24"),
        (
            changed_config(hidden_size=25, num_attention_heads=5),
            r"embed_tokens.weight is \(40, 24\) instead of \(40, 25\)",
        ),
        (changed_config(intermediate_size=99), r"fc1.weight is \(36, 24\) instead of \(99, 24\)"),
        (changed_config(vocab_size=30), r"embed_tokens.weight is \(40, 24\) instead of \(30, 24\)"),
        (changed_config(vocab_size="many"), "vocab_size 'many' is not a positive number"),
        (changed_config(num_hidden_layers=3), r"missing encoder.layer.2.attention.output.dense.weight,.* and \d+ more"),
        (only_pickled, "pytorch_model.bin is a pickle.*convert it to safetensors"),
        (without_a_weight, "missing encoder.layer.1.intermediate.dense.bias"),
        (truncated, "truncated or damaged"),
        (lambda folder: (folder / "model.safetensors").unlink(), "model.safetensors is missing"),
        (lambda folder: (folder / "config.json").unlink(), "config.json is missing"),
    ],
)
def test_what_cannot_be_loaded_is_named(tmp_path, transformers, damage, message):
    folder = saved(tmp_path, peer(transformers, "Bert"))
    damage(folder)
    with pytest.raises(ArtifactError, match=message) as caught:
        load_pretrained(folder, LABELS, FIRST, SEPARATOR)
    assert "\n" not in str(caught.value)
