"""A classifier that begins from a BERT in Hugging Face's layout, through the real commands, on tiny data."""

import json

import pytest
import tiny_classifier
import torch
from pretrained_folders import BERT_SPECIAL

from hat import Classifier
from hat.cli import export, prepare, train_sub, train_super
from hat.models.checkpoint import load_model

WORDS = ["the", "is", "and", *tiny_classifier.GOOD, *tiny_classifier.BAD, *tiny_classifier.THINGS]
TEXTS = ["the film is good and the book is awful", "the song is dull and the play is lovely"]
SPACE = {
    "head_dim": 8,
    "encoder": {"embed_dim": [32, 16], "layers": [2, 1], "ffn_dim": [48, 24], "self_attention_heads": [4, 2]},
}
STILL = {"lr": 1e-12, "warmup_init_lr": 0.0, "min_lr": 0.0, "max_update": 1, "warmup_updates": 0}


def write_bert(folder):
    """A small BertForSequenceClassification with random weights and the words of the tiny corpus; returns it."""
    transformers = pytest.importorskip("transformers")
    folder.mkdir()
    vocabulary = [*BERT_SPECIAL, *WORDS]
    (folder / "vocab.txt").write_text("".join(f"{word}\n" for word in vocabulary))
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 48}
    labels = {"id2label": {0: "bad", 1: "good"}, "label2id": {"bad": 0, "good": 1}}
    torch.manual_seed(5)
    config = transformers.BertConfig(
        vocab_size=len(vocabulary), max_position_embeddings=40, initializer_range=0.3, **sizes, **labels
    )
    model = transformers.BertForSequenceClassification(config).eval()
    model.save_pretrained(folder)
    return model


def make_run(folder, training=None, **sections):
    training, model = training or {}, sections.pop("model", {})
    given = {
        "data": {"max_length": 30},
        "model": {"pretrained": str(folder / "bert"), "normalize_before": False, **model},
        "search_space": SPACE,
        "super_training": {"distillation": {"logits": 0.5, "hidden": 0.1}, **training},
        "sub_training": training,
    }
    changed = {name: given.get(name, {}) | sections.get(name, {}) for name in given.keys() | sections.keys()}
    return tiny_classifier.make_run(folder, **changed)


def command(module, *arguments):
    module.main([*arguments, "--device", "cpu", "--threads", "1"])


def refused(module, arguments, capsys):
    """The line with which a command refuses."""
    with pytest.raises(SystemExit) as ended:
        module.main(arguments)
    assert ended.value.code != 0
    return capsys.readouterr().err.splitlines()[-1]


@pytest.fixture(scope="module")
def still(tmp_path_factory):
    """(transformers' model, a run trained at a rate of next to nothing): what trainings begin with."""
    folder = tmp_path_factory.mktemp("still")
    model = write_bert(folder / "bert")
    run = make_run(folder, STILL)
    prepare.main([str(folder / "tiny.yaml"), "--run", str(run.path)])
    command(train_super, "--run", str(run.path))
    return model, run


def tokens_of(run):
    return torch.stack([torch.as_tensor(run.prepared().token_ids("valid")[line]) for line in range(20)]).long()


def test_the_full_size_network_begins_as_the_pretrained_one(still):
    model, run = still
    tokens = tokens_of(run)
    with torch.no_grad():
        expected = model(tokens, attention_mask=torch.ones_like(tokens)).logits
        found = load_model(run.sub("full"))(tokens)
    assert tuple(run.prepared().labels) == ("bad", "good")
    assert expected.std(dim=0).min() > 0.01
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=0)


def test_the_supertransformer_begins_as_its_teacher_the_important_ones_first(still):
    _, run = still
    tokens = tokens_of(run)
    supertransformer, teacher = load_model(run.super_), load_model(run.sub("full"))
    with torch.no_grad():
        torch.testing.assert_close(supertransformer(tokens), teacher(tokens), atol=1e-4, rtol=0)
    gaps = []
    for network in (supertransformer, teacher):
        layer, gap = network.encoder.layers[0], []
        for neuron in range(48):  # what the logits lose by each neuron, one after the other
            kept = layer.fc2.weight[:, neuron].clone()
            with torch.no_grad():
                before = network(tokens)
                layer.fc2.weight[:, neuron] = 0
                gap.append(float((network(tokens) - before).abs().mean()))
                layer.fc2.weight[:, neuron] = kept
        gaps.append(gap)
    first_half = [sum(gap[:24]) / sum(gap) for gap in gaps]
    assert sorted(gaps[0]) == pytest.approx(sorted(gaps[1]), abs=1e-4)
    assert first_half[0] > 0.6 > first_half[1]


def test_a_network_is_taught_and_deployed(tmp_path):
    write_bert(tmp_path / "bert")
    run = make_run(tmp_path, search={"latency": []})
    given = ["--run", str(run.path)]
    prepare.main([str(tmp_path / "tiny.yaml"), *given])
    command(train_super, *given)
    smallest = tmp_path / "smallest.yaml"
    smallest.write_text(json.dumps(run.config.search_space.smallest().to_dict()))
    command(train_sub, "--architecture", str(smallest), "--name", "small", *given)
    export.main(["small", *given])
    for precision in ("fp32", "int8"):
        found = Classifier(run.export("small") / precision).classify(TEXTS)
        assert [label for label, _ in found] == ["good", "bad"]


def test_the_teacher_does_not_inherit_from_its_pupil(still, capsys):
    _, run = still
    line = refused(train_sub, ["--architecture", "full", "--init", "inherit", "--run", str(run.path)], capsys)
    assert "--init inherit: full teaches the SuperTransformer" in line


@pytest.mark.parametrize(
    ("sections", "message"),
    [
        ({"search_space": {**SPACE, "head_dim": 4}}, "head_dim"),
        ({"search_space": {**SPACE, "encoder": {**SPACE["encoder"], "layers": [3, 1]}}}, "layers: 3 is above the 2"),
        ({"data": {"max_length": 60}}, "data.max_length: 60 is above the 40 positions"),
    ],
)
def test_a_network_smaller_than_the_experiment_is_refused(tmp_path, capsys, sections, message):
    write_bert(tmp_path / "bert")
    run = make_run(tmp_path, **sections)
    assert message in refused(prepare, [str(tmp_path / "tiny.yaml"), "--run", str(run.path)], capsys)
    assert not run.data.exists()


def test_pickled_weights_are_refused_before_anything_is_trained(tmp_path, capsys):
    write_bert(tmp_path / "bert")
    (tmp_path / "bert" / "model.safetensors").rename(tmp_path / "bert" / "pytorch_model.bin")
    run = make_run(tmp_path)
    assert "is a pickle" in refused(prepare, [str(tmp_path / "tiny.yaml"), "--run", str(run.path)], capsys)


@pytest.mark.parametrize(
    ("sections", "message"),
    [
        ({"model": {"activation": "relu"}}, "model.activation: the pretrained network has its own"),
        ({"sub_training": {"distillation": {"word_level": 0.5, "teachers": ["super"]}}}, "super learns from full"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(tmp_path, sections, message):
    with pytest.raises(Exception, match=message):
        make_run(tmp_path, **sections)
