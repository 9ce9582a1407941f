"""Stages are done again when what they read is another one now, and only then."""

import json

import pytest
from tiny_run import make_run

from hat import files
from hat.data.translation.prepare import prepare
from hat.errors import ArtifactError
from hat.experiment.run_directory import check_supertransformer, mark_done, stamp
from hat.training.options import TrainingOptions
from hat.training.sub import choose_architecture, is_up_to_date, train_sub
from hat.training.super import train_super

BRIEF = TrainingOptions(max_update=2)


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return make_run(tmp_path)


def add_line(run, german, english):
    """To the training text; then the data are prepared again, which must not be up to date."""
    for path, line in zip(run.config.data.train, (german, english), strict=True):
        with open(path, "a", encoding="utf-8") as text:
            text.write(line + "\n")
    before = (run.data / "done.json").read_bytes()
    prepare(run)
    assert (run.data / "done.json").read_bytes() != before


def test_a_stage_is_known_by_what_it_left(tmp_path):
    def finished(inputs, content, data=None):
        (tmp_path / "result").write_text(content)
        mark_done(tmp_path, inputs, ["result"], data)
        return stamp(tmp_path)

    first = finished("inputs", "content")
    assert finished("other inputs", "content") == first
    assert len({first, finished("inputs", "other"), finished("inputs", "content", "data"), None}) == 4


@pytest.mark.parametrize("record", [{"inputs": "1"}, {"inputs": "1", "outputs": {"model.json": "2"}, "data": "3"}])
def test_what_an_earlier_version_finished_is_known_as_before(tmp_path, record):
    files.write_json(tmp_path / "done.json", record)
    assert stamp(tmp_path) == files.sha256_of_file(tmp_path / "done.json")


def test_data_prepared_anew_count_by_their_content(run, capsys):
    train_super(run, BRIEF)
    train_sub(run, "small", run.config.search_space.smallest(), BRIEF)
    before = stamp(run.data)
    add_line(run, "ein Hund", "")  # is left out
    assert stamp(run.data) == before
    capsys.readouterr()
    train_super(run, BRIEF)
    assert "SuperTransformer is up to date" in capsys.readouterr().out
    assert is_up_to_date(run, "small", run.config.search_space.smallest(), BRIEF)

    add_line(run, "ein Hund", "dnuH nie")
    assert stamp(run.data) != before
    assert not is_up_to_date(run, "small", run.config.search_space.smallest(), BRIEF)
    with pytest.raises(ArtifactError, match="super learnt from other prepared data; run hat-train-super$"):
        check_supertransformer(run)
    with pytest.raises(ArtifactError, match="other prepared data; run hat-train-super or --init scratch"):
        train_sub(run, "small", run.config.search_space.smallest(), TrainingOptions(max_update=2, init="inherit"))
    train_super(run, BRIEF)
    assert "up to date" not in capsys.readouterr().out
    check_supertransformer(run)


def test_another_winner_is_trained_and_the_same_one_is_not(run):
    def trained(architecture):
        files.write_yaml(run.search("pick") / "architecture.yaml", architecture.to_dict())
        found = choose_architecture(run, "pick")
        current = is_up_to_date(run, *found, BRIEF)
        train_sub(run, *found, BRIEF)
        return current

    space = run.config.search_space
    assert [trained(one) for one in (space.smallest(), space.smallest(), space.largest())] == [False, True, False]
    assert json.loads((run.sub("pick") / "model.json").read_text())["architecture"] == space.largest().to_dict()
