"""Strict configs, architecture files, durable files and run directories."""

import json
from dataclasses import dataclass
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny import TINY_SPACE

from hat import files
from hat.architecture.file import load_architecture
from hat.architecture.hat_format import span_from_hat
from hat.config import from_mapping, to_mapping
from hat.errors import ArtifactError, UsageError
from hat.experiment.run_directory import RunDirectory, is_current, mark_done

HAT_YAML = """
encoder-embed-dim-subtransformer: 512
decoder-embed-dim-subtransformer: 640
encoder-ffn-embed-dim-all-subtransformer: [1024, 2048]
decoder-ffn-embed-dim-all-subtransformer: [2048, 1024]
encoder-layer-num-subtransformer: 2
decoder-layer-num-subtransformer: 1
encoder-self-attention-heads-all-subtransformer: [4, 8]
decoder-self-attention-heads-all-subtransformer: [4, 4]
decoder-ende-attention-heads-all-subtransformer: [8, 4]
decoder-arbitrary-ende-attn-all-subtransformer: [1, -1]
"""

EXPERIMENT = {
    "name": "tiny",
    "data": {"corpus": "synthetic.de-en", "source_lang": "de", "target_lang": "en"},
    "model": {"dropout": 0.1},
    "search_space": TINY_SPACE.to_dict(),
    "super_training": {"max_update": 10, "warmup_updates": 2, "lr": 1e-3},
    "sub_training": {"max_update": 10, "warmup_updates": 2, "lr": 1e-3},
}


@dataclass(frozen=True)
class Inner:
    rate: float = 0.5
    sizes: tuple[int, ...] = ()


@dataclass(frozen=True)
class Outer:
    count: int
    kind: Literal["a", "b"] = "a"
    inner: Inner = Inner()
    limit: int | None = None


@given(st.builds(Outer, count=st.integers(), inner=st.builds(Inner, rate=st.floats(allow_nan=False))))
def test_mapping_round_trip(outer):
    assert from_mapping(Outer, to_mapping(outer), "test") == outer


@pytest.mark.parametrize(
    ("mapping", "message"),
    [
        ({"cuont": 1}, "unknown key 'cuont'; did you mean 'count'"),
        ({}, "key 'count' is missing"),
        ({"count": "1"}, "count: expected int, got '1'"),
        ({"count": True}, "count: expected int, got True"),
        ({"count": 1, "kind": "c"}, "'c' is not one of a, b"),
        ({"count": 1, "inner": {"sizes": 3}}, "inner.sizes: expected a list"),
        ({"count": 1, "inner": {"rate": "fast"}}, "inner.rate: expected a number"),
        ({"count": 1, "inner": [1]}, "inner: expected keys and values"),
    ],
)
def test_wrong_configs_name_key_and_remedy(mapping, message):
    with pytest.raises(UsageError, match=message):
        from_mapping(Outer, mapping, "test.yaml")


def test_numbers_that_yaml_reads_as_text_are_numbers():
    assert from_mapping(Inner, {"rate": "1e-3"}, "test").rate == 1e-3


def test_hats_yaml_loads_with_active_layers_only(tmp_path):
    path = tmp_path / "hat.yml"
    path.write_text(HAT_YAML)
    architecture = load_architecture(path)
    assert architecture.encoder.self_attention_heads == (4, 8)
    assert architecture.decoder.ffn_dim == (2048,)
    assert architecture.decoder.cross_attention_span == (2,)
    assert [span_from_hat(value) for value in (-1, 1, 2)] == [1, 2, 3]


def test_architecture_files_round_trip_and_errors(tmp_path):
    path = tmp_path / "architecture.yaml"
    files.write_yaml(path, TINY_SPACE.smallest().to_dict())
    assert load_architecture(path) == TINY_SPACE.smallest()
    path.write_text(json.dumps(TINY_SPACE.largest().to_dict()))
    assert load_architecture(path) == TINY_SPACE.largest()
    path.write_text("encoder: [unclosed")
    with pytest.raises(UsageError, match="not valid YAML"):
        load_architecture(path)
    with pytest.raises(ArtifactError, match="no such file"):
        load_architecture(tmp_path / "none.yaml")


def test_a_line_cut_by_a_kill_is_left_out_and_mended(tmp_path):
    path = tmp_path / "rows.jsonl"
    files.append_json_line(path, {"n": 1})
    with open(path, "a") as handle:
        handle.write('{"n": 2')
    assert files.read_json_lines(path) == [{"n": 1}]
    files.append_json_line(path, {"n": 3})
    assert files.read_json_lines(path) == [{"n": 1}, {"n": 3}]
    path.write_text('{"n": 1}\nnonsense\n{"n": 2}\n')
    with pytest.raises(ArtifactError, match="line 2"):
        files.read_json_lines(path)


def test_replacing_keeps_the_old_file_if_the_new_one_fails(tmp_path):
    path = tmp_path / "value.json"
    files.write_json(path, {"old": True})
    with pytest.raises(TypeError):
        files.write_text(path, 42)
    assert files.read_json(path, "") == {"old": True}
    assert list(tmp_path.iterdir()) == [path]


def write_experiment(path, **changes):
    files.write_yaml(path, EXPERIMENT | changes)
    return path


def test_run_directory_is_made_reopened_and_remembered(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config = write_experiment(tmp_path / "tiny.yaml")
    run = RunDirectory.create(config)
    assert run.path.samefile(tmp_path / "runs" / "tiny")
    assert RunDirectory.open().path.samefile(run.path)
    assert RunDirectory.create(config).config == run.config


def test_later_sections_may_change_and_lasting_ones_may_not(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config = write_experiment(tmp_path / "tiny.yaml")
    RunDirectory.create(config)
    write_experiment(config, search={"iterations": 3})
    assert RunDirectory.create(config).config.search.iterations == 3
    write_experiment(config, model={"dropout": 0.2})
    with pytest.raises(UsageError, match=r"model.dropout differs .*--run NEWDIR"):
        RunDirectory.create(config)
    assert RunDirectory.open().config.model.dropout == 0.1


@pytest.mark.parametrize(
    ("section", "key", "value"),
    [
        ("super_training", "average_checkpoints", 5),
        ("super_training", "init", "scratch"),
        ("sub_training", "validation_subnets", 4),
    ],
)
def test_a_key_of_the_other_training_is_unknown_but_in_the_config_of_an_older_run(
    tmp_path, monkeypatch, section, key, value
):
    monkeypatch.chdir(tmp_path)
    config = write_experiment(tmp_path / "tiny.yaml")
    run = RunDirectory.create(config)
    with_key = EXPERIMENT | {section: EXPERIMENT[section] | {key: value}}
    files.write_yaml(run.path / "config.yaml", with_key)
    assert RunDirectory.open(run.path).config == run.config
    assert RunDirectory.create(config).config == run.config
    files.write_yaml(config, with_key)
    with pytest.raises(UsageError, match=rf"tiny.yaml: {section}: unknown key '{key}'"):
        RunDirectory.create(config)


def test_foreign_directories_are_refused_untouched(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config = write_experiment(tmp_path / "tiny.yaml")
    foreign = tmp_path / "thesis"
    foreign.mkdir()
    (foreign / "chapter1.tex").write_text("precious")
    with pytest.raises(UsageError, match="is not empty"):
        RunDirectory.create(config, foreign)
    assert [path.name for path in foreign.iterdir()] == ["chapter1.tex"]
    with pytest.raises(ArtifactError, match="not a run directory"):
        RunDirectory.open(foreign)
    with pytest.raises(ArtifactError, match="no run yet"):
        RunDirectory.open()


def test_a_stage_is_current_only_with_the_same_inputs(tmp_path):
    assert not is_current(tmp_path, {"seed": 1})
    mark_done(tmp_path, {"seed": 1}, [])
    assert is_current(tmp_path, {"seed": 1})
    assert not is_current(tmp_path, {"seed": 2})
