"""What a config may say: every number has a range, and what would be read and not heeded is refused."""

import dataclasses
import math
import typing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_config_files import EXPERIMENT

from hat import files
from hat.config import Between
from hat.errors import UsageError
from hat.experiment.config import fingerprinted, load_experiment
from hat.experiment.sections import DistillationConfig
from hat.experiment.translation import TranslationExperiment

SECTIONS = {
    name: hint
    for name, hint in typing.get_type_hints(TranslationExperiment).items()
    if dataclasses.is_dataclass(hint) and name != "search_space"  # which checks its choices itself
}


def load(path, section, **changes):
    """The config EXPERIMENT with `changes` in one section (for None: at the top), written to `path` and read."""
    changed = {section: EXPERIMENT.get(section, {}) | changes} if section else changes
    files.write_yaml(path, EXPERIMENT | changed)
    return load_experiment(path)


def numbers(cls):
    """(name, type, Between or None) of a dataclass's numbers, those in lists and those that may be null included."""
    for name, hint in typing.get_type_hints(cls, include_extras=True).items():
        options = {option for option in (hint, *typing.get_args(hint)) if option is not type(None)}
        ranges = [option for option in options if typing.get_origin(option) is typing.Annotated]
        if ranges:
            yield name, typing.get_args(ranges[0])[0], ranges[0].__metadata__[0]
        elif options & {int, float}:
            yield name, None, None


LISTS = ("adam_betas", "halving_updates", "rungs")
RANGES = [(section, *number) for section, cls in SECTIONS.items() for number in numbers(cls)]


def test_every_number_of_every_section_has_a_range():
    assert set(SECTIONS) == {
        "data", "model", "super_training", "sub_training", "latency", "search", "evaluation",
    }  # fmt: skip
    assert len(RANGES) > 50
    assert [(section, name) for section, name, _, allowed in RANGES if allowed is None] == []
    assert [name for name, _, allowed in numbers(DistillationConfig) if allowed is None] == []


@pytest.mark.parametrize(("section", "name", "kind", "allowed"), RANGES, ids=lambda value: str(value))
def test_a_number_out_of_range_is_named_with_its_range(tmp_path, section, name, kind, allowed):
    path = tmp_path / "tiny.yaml"
    wrong = [kind(allowed.low) - 1, *map(kind, allowed.excluded)]
    wrong += [kind(allowed.high) + 1] if math.isfinite(allowed.high) else []
    wrong += [math.inf, math.nan] if kind is float else []
    for value in wrong:
        given = [value, value] if name in LISTS else value
        with pytest.raises(UsageError) as caught:
            load(path, section, **{name: given})
        said = f"{path}: {section}.{name}: {value} is not between {allowed.low} and {allowed.high}"
        assert str(caught.value).startswith(said)


@pytest.mark.parametrize(
    ("section", "key", "value"),
    [
        ("sub_training", "average_checkpoints", 0),
        ("super_training", "validate_every", 0),
        ("sub_training", "save_every", 0),
        ("super_training", "validation_subnets", 1),
        ("super_training", "lr", 0.0),
        ("super_training", "lr", -0.1),
        ("sub_training", "label_smoothing", 1.0),
        ("sub_training", "weight_decay", -0.1),
        ("model", "dropout", 1.0),
        ("search", "population", 0),
        ("search", "parents", 0),
        ("search", "mutation_probability", 1.5),
        ("evaluation", "beam", 0),
        ("latency", "source_length", 2001),
        ("data", "vocabulary_size", 4),
        (None, "seed", -1),
    ],
)
def test_values_that_no_training_or_search_can_use(tmp_path, section, key, value):
    where = f"{section}.{key}" if section else key
    with pytest.raises(UsageError, match=rf"tiny.yaml: {where}: {value} is not between"):
        load(tmp_path / "tiny.yaml", section, **{key: value})


@pytest.mark.parametrize(("key", "value"), [("word_level", 1.5), ("sequence_beam", 0)])
def test_a_range_in_a_section_of_a_section(tmp_path, key, value):
    with pytest.raises(UsageError, match=rf"tiny.yaml: sub_training.distillation.{key}: {value} is not between"):
        load(tmp_path / "tiny.yaml", "sub_training", distillation={key: value})


@given(value=st.floats(), low=st.integers(-5, 5), width=st.integers(0, 5), open_end=st.booleans())
def test_a_range_holds_what_arithmetic_says(value, low, width, open_end):
    high = low + width
    inside = low <= value <= high and not (open_end and value == high)
    try:
        Between(low, high, excluded=(high,) if open_end else ()).check(value, "x")
    except UsageError:
        assert not inside
    else:
        assert inside


@pytest.mark.parametrize(
    ("section", "changes", "message"),
    [
        ("data", {"train": ["a.de", "a.en"]}, r"data.train: corpus synthetic.de-en has its own text"),
        ("data", {"test": ["a.de", "a.en"]}, r"data.test: corpus synthetic.de-en has its own text"),
        ("data", {"corpus": "files", "synthetic_sentences": 9}, r"data.synthetic_sentences: 9 has no effect"),
        (
            "model",
            {"share_decoder_input_output_embed": False},
            r"share_decoder_input_output_embed: false has no effect",
        ),
        ("search", {"rungs": [5, 5]}, r"search.rungs: \[5, 5\] are not rising numbers of sentences from 1"),
        ("search", {"rungs": [50, 50]}, r"search.rungs: \[50, 50\] are not rising"),
        ("search", {"rungs": [5, 90], "validation_sentences": 90}, r"below search.validation_sentences \(90\)"),
        ("super_training", {"min_lr": 1e-5}, r"super_training.min_lr: 1e-05 has no effect on inverse_sqrt"),
        ("sub_training", {"min_lr": 0.1, "lr_scheduler": "cosine"}, r"sub_training.min_lr: 0.1 is above lr: 0.001"),
        ("sub_training", {"warmup_init_lr": 0.1}, r"sub_training.warmup_init_lr: 0.1 is above lr: 0.001"),
        ("sub_training", {"warmup_updates": 11}, r"sub_training.warmup_updates: 11 is above max_update: 10"),
        ("super_training", {"adam_betas": [0.9]}, r"super_training.adam_betas: give two numbers, got \[0.9\]"),
        ("search", {"mutations": 0, "crossovers": 0}, r"search.iterations: 30 generations need children"),
        ("latency", {"source_length": 30}, r"latency.source_length and latency.target_steps: give both"),
        (
            "compression",
            {"max_update": 10, "warmup_updates": 1, "lr": 0.1, "structure": "weights"},
            r"compression.structure: weights can't be removed here; use whole or columns",
        ),
    ],
)
def test_keys_that_do_not_go_together_are_refused(tmp_path, section, changes, message):
    with pytest.raises(UsageError, match=rf"tiny.yaml: .*{message}"):
        load(tmp_path / "tiny.yaml", section, **changes)


@pytest.mark.parametrize(
    ("section", "changes"),
    [
        ("data", {"synthetic_sentences": 9}),
        ("data", {"corpus": "files", "train": ["a.de", "a.en"]}),
        ("model", {"share_all_embeddings": False, "share_decoder_input_output_embed": False}),
        ("super_training", {"min_lr": 1e-5, "lr_scheduler": "cosine"}),
        ("search", {"mutations": 0, "crossovers": 0, "iterations": 1}),
    ],
)
def test_where_the_same_keys_mean_something_they_are_kept(tmp_path, section, changes):
    config = load(tmp_path / "tiny.yaml", section, **changes)
    assert {key: config.to_dict()[section][key] for key in changes} == changes


@pytest.mark.parametrize("path", sorted((Path(__file__).parents[3] / "configs").glob("*.yaml")), ids=lambda p: p.stem)
def test_a_resolved_config_reads_back_as_itself(tmp_path, path):
    config = load_experiment(path)
    files.write_yaml(tmp_path / "resolved.yaml", config.to_dict())
    assert load_experiment(tmp_path / "resolved.yaml") == config


def older(path, **keys):
    sections = ("super_training", "sub_training")
    files.write_yaml(path, EXPERIMENT | {name: EXPERIMENT[name] | keys for name in sections})
    return load_experiment(path).sub_training


@pytest.mark.parametrize("name", ["mine.yaml", "config.yaml"])
def test_an_older_config_means_tokens_of_one_process_and_has_the_same_fingerprint(tmp_path, name):
    read = older(tmp_path / name, max_tokens=1500, update_freq=3)
    assert (read.max_tokens, read.tokens_per_update) == (1500, 4500)
    assert fingerprinted(read)["update_freq"] == 3
    assert "tokens_per_update" not in fingerprinted(read)
    assert older(tmp_path / name, max_tokens=1500).tokens_per_update == 1500  # update_freq was 1
    assert older(tmp_path / name, max_tokens=1500, tokens_per_update=4500) == read


def test_the_two_keys_together_are_refused(tmp_path):
    with pytest.raises(UsageError, match="unknown key 'update_freq'"):
        older(tmp_path / "mine.yaml", update_freq=3, tokens_per_update=4500)
    with pytest.raises(UsageError, match="unknown key 'update_freq'"):
        older(tmp_path / "mine.yaml", update_freq="three")
