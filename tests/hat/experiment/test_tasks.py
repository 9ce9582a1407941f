"""Experiments of several tasks: each config names its own, and what belongs to another one is refused."""

import pytest
from test_config_files import EXPERIMENT
from tiny_classifier import CONFIG

from hat import files
from hat.errors import UsageError
from hat.experiment.config import load_experiment
from hat.tasks import TASKS, task_of


def load(tmp_path, config):
    files.write_yaml(tmp_path / "tiny.yaml", config)
    return load_experiment(tmp_path / "tiny.yaml")


def test_a_config_without_a_task_is_about_translation(tmp_path):
    config = load(tmp_path, EXPERIMENT)
    assert task_of(config) is TASKS["translation"]
    assert "task" not in config.to_dict()  # so that older run directories hold the same


def test_a_classifier_s_config_survives_a_run_directory(tmp_path):
    config = load(tmp_path, CONFIG)
    assert task_of(config) is TASKS["classification"]
    assert load(tmp_path, config.to_dict()) == config
    assert list(config.to_dict())[:3] == ["task", "name", "data"]


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (EXPERIMENT | {"task": "clasification"}, "task: 'clasification' is not one of translation, classification"),
        (
            CONFIG | {"search_space": EXPERIMENT["search_space"]},
            "key 'decoder' has no use; classification needs encoder",
        ),
        (EXPERIMENT | {"search_space": CONFIG["search_space"]}, "key 'decoder' is missing; translation needs encoder"),
        (CONFIG | {"evaluation": {"beam": 4}}, "unknown key 'evaluation'"),
        (CONFIG | {"data": {**CONFIG["data"], "corpus": "sst2"}}, "data.train: corpus sst2 has its own text"),
        (
            CONFIG | {"sub_training": CONFIG["sub_training"] | {"distillation": {"sequence_level": "beside"}}},
            "a classifier writes no text to learn from",
        ),
    ],
)
def test_what_belongs_to_another_task_is_refused(tmp_path, config, message):
    with pytest.raises(UsageError, match=message):
        load(tmp_path, config)


def test_a_translator_s_heads_have_no_width_of_their_own(tmp_path):
    space = {name: value for name, value in EXPERIMENT["search_space"].items() if name != "qkv_dim"}
    with pytest.raises(UsageError, match="head_dim: translation's heads split a fixed width; give qkv_dim"):
        load(tmp_path, EXPERIMENT | {"search_space": space | {"head_dim": 8}})
