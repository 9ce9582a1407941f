"""hat-inspect through its real command line."""

import json
import subprocess
import sys

import pytest
from test_config_files import EXPERIMENT, HAT_YAML
from tiny import DECODER_SPACE, ENCODER_SPACE, TINY_SPACE
from tiny_classifier import CONFIG
from tiny_language_models import BINS_SPACE, LANGUAGE_SPACE
from tiny_language_run import CONFIG as LANGUAGE_CONFIG
from torch import nn

from hat import files
from hat.experiment.config import load_experiment
from hat.models.classification import Classifier
from hat.models.language_model import LanguageModel
from hat.models.language_model_spec import LanguageModelSpec


def hat_inspect(*arguments):
    command = [sys.executable, "-m", "hat.cli.inspect", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True)


def test_json_of_hats_yaml_has_hand_counted_figures(tmp_path):
    path = tmp_path / "hat.yml"
    path.write_text(HAT_YAML)
    found = json.loads(hat_inspect(path, "--json", "--vocabulary", 100).stdout)
    encoder = sum(4 * 512 * 512 + 3 * 512 + 512 + 2 * 512 * ffn + ffn + 512 + 4 * 512 for ffn in (1024, 2048))
    self_attention = 4 * 640 * 512 + 3 * 512 + 640
    cross_attention = 2 * 640 * 512 + 2 * 512 * 512 + 3 * 512 + 640
    decoder = self_attention + cross_attention + 2 * 640 * 2048 + 2048 + 640 + 6 * 640
    assert found["parameters_without_embeddings"] == encoder + decoder
    assert found["parameters"] == encoder + decoder + 100 * 640
    assert found["flops"] > 0


@pytest.mark.parametrize("stack", ["encoder", "decoder"])
def test_a_stack_alone_counts_as_torchs_own_layers_do(tmp_path, stack):
    path = tmp_path / "alone.yaml"
    files.write_yaml(
        path, {"qkv_dim": 64, stack: {"embed_dim": 64, "ffn_dim": [96] * 3, "self_attention_heads": [4] * 3}}
    )
    found = json.loads(hat_inspect(path, "--json", "--vocabulary", 100).stdout)
    files.write_yaml(
        path, {"head_dim": 16, stack: {"embed_dim": 64, "ffn_dim": [96] * 3, "self_attention_heads": [4] * 3}}
    )
    assert json.loads(hat_inspect(path, "--json", "--vocabulary", 100).stdout)["flops"] == found["flops"]
    layers = nn.TransformerEncoder(
        nn.TransformerEncoderLayer(64, 4, 96, batch_first=True), 3
    )  # a decoder's differ by their mask only
    assert found["parameters_without_embeddings"] == sum(weight.numel() for weight in layers.parameters())
    assert found["parameters"] - found["parameters_without_embeddings"] == 100 * 64
    assert f"{stack}: embed_dim 64, head_dim 16" in hat_inspect(path).stdout


def test_space_and_experiment_print_their_size(tmp_path):
    files.write_yaml(tmp_path / "experiment.yaml", EXPERIMENT)
    assert json.loads(hat_inspect(tmp_path / "experiment.yaml", "--json").stdout)["size"] == TINY_SPACE.size()
    for space in (TINY_SPACE, ENCODER_SPACE, DECODER_SPACE):
        files.write_yaml(tmp_path / "space.yaml", space.to_dict())
        assert json.loads(hat_inspect(tmp_path / "space.yaml", "--json").stdout)["size"] == space.size()
        assert "search space of" in hat_inspect(tmp_path / "space.yaml").stdout


@pytest.mark.parametrize(
    ("content", "message", "status"),
    [("learning: 3", "neither an architecture", 2), ("- 1", "expected keys and values", 2), (None, "no such file", 4)],
)
def test_other_files_are_refused_in_one_line(tmp_path, content, message, status):
    path = tmp_path / "other.yaml"
    if content is not None:
        path.write_text(content)
    result = hat_inspect(path)
    assert result.returncode == status
    assert message in result.stderr
    assert result.stderr.count("\n") == 1


def test_an_experiment_is_counted_with_all_that_its_model_has(tmp_path):
    path = tmp_path / "classifier.yaml"
    files.write_yaml(path, CONFIG | {"data": {**CONFIG["data"], "vocabulary_size": 50}})
    found = json.loads(hat_inspect(path, "--json").stdout)
    classifier = Classifier(load_experiment(path).search_space.largest(), classifier_spec_of(path))
    assert found["parameters"] == sum(weight.numel() for weight in classifier.parameters())
    assert found["vocabulary"] == 50
    assert json.loads(hat_inspect(path, "--json", "--vocabulary", 60).stdout)["parameters"] == (
        found["parameters"] + 10 * 32
    )
    assert "at 30 source tokens" in hat_inspect(path).stdout


def test_a_language_model_is_counted_with_its_contexts(tmp_path):
    path = tmp_path / "language.yaml"
    files.write_yaml(path, LANGUAGE_CONFIG)
    found = json.loads(hat_inspect(path, "--json", "--vocabulary", 40, "--length", 20).stdout)
    config = load_experiment(path)
    spec, largest = config.model_spec(40, 0, 1), config.search_space.largest()
    assert found["flops"] == 2 * spec.multiply_adds(largest, 20)
    assert found["parameters"] == sum(weight.numel() for weight in LanguageModel(largest, spec).parameters())
    shown = hat_inspect(path).stdout
    assert "decoder: embed_dim 24, bin_dims 8, 4\n  layer  ffn_dim  self_attention_heads  head_dim  context\n" in shown
    assert "decoder: embed_dim 16, bin_dims 4, 2\n" in shown  # the smallest
    assert "at 30 target tokens" in shown


def test_a_language_model_s_architecture_and_space_alone_count_one_table(tmp_path):
    space = BINS_SPACE
    files.write_yaml(tmp_path / "space.yaml", space.to_dict())
    files.write_yaml(tmp_path / "smallest.yaml", space.smallest().to_dict())
    network = LanguageModel(LANGUAGE_SPACE.smallest(), LanguageModelSpec(40, full_embed_dim=24))
    of_space, alone = (
        json.loads(hat_inspect(tmp_path / name, "--json", "--vocabulary", 40).stdout)
        for name in ("space.yaml", "smallest.yaml")
    )
    assert of_space["size"] == space.size()
    assert of_space["smallest"]["parameters"] == alone["parameters"] == sum(of.numel() for of in network.parameters())
    assert "decoder: embed_dim 16, bin_dims 3, 1\n" in hat_inspect(tmp_path / "smallest.yaml").stdout


def test_the_vocabulary_that_is_asked_for_counts_whatever_the_config_says(tmp_path):
    path = tmp_path / "translator.yaml"
    files.write_yaml(path, EXPERIMENT | {"latency": {**EXPERIMENT.get("latency", {}), "vocabulary_size": 70}})
    assert json.loads(hat_inspect(path, "--json").stdout)["vocabulary"] == 70
    assert json.loads(hat_inspect(path, "--json", "--vocabulary", 90).stdout)["vocabulary"] == 90


def classifier_spec_of(path):
    """That of two labels, 50 words, no segments."""
    return load_experiment(path).classifier_spec(50, ("a", "b"), first=0, separator=2, padding=1, segments=0)
