"""What hat-prepare refuses, each with its status and one line, and what is kept then."""

import errno
from pathlib import Path

import pytest
from preparing import FILES, NO_FILES, error_of, status, write_config, write_lines

from hat.data.translation import splits as splits_module
from hat.data.translation.prepared import PreparedData
from hat.errors import ArtifactError
from hat.experiment.run_directory import stamp


@pytest.mark.parametrize(
    ("break_text", "code", "message"),
    [
        (lambda: Path("train.de").write_bytes(b""), 3, "train.de is empty"),
        (lambda: write_lines("valid.en", ["One."]), 3, "valid.de has 20 lines, valid.en has 1"),
        (lambda: Path("test.en").write_bytes(b"na\xefve\n" * 20), 3, "test.en, line 1, byte 3: not UTF-8"),
        (lambda: Path("train.en").write_bytes(b"x" * 2_000_000), 3, "train.en, line 1: longer than"),
        (lambda: Path("train.de").unlink(), 3, "train.de: no such file"),
        (lambda: write_lines("valid.de", [""] * 20), 3, "the valid split has no pair with text on both sides"),
    ],
)
def test_unusable_text_ends_with_its_status_and_leaves_nothing(text, capsys, break_text, code, message):
    break_text()
    got, line = error_of(capsys, write_config(**FILES))
    assert got == code
    assert message in line
    assert [path.name for path in Path("runs/small").glob("[!.]*")] == ["config.yaml"]


@pytest.mark.parametrize(
    ("data", "code", "message"),
    [
        ({"vocabulary_size": 5000}, 2, "data.vocabulary_size 5000 is more than the training text can fill"),
        ({"vocabulary_size": 12}, 2, "data.vocabulary_size 12 can't hold the characters"),
        ({"vocabulary_size": 0}, 2, "data.vocabulary_size: 0 is not between"),
        ({"max_length": 1}, 3, "every pair of the train split is longer than data.max_length 1"),
        ({"train": ["train.de"]}, 2, "data.train: corpus `files` needs [source file, target file]"),
        ({"corpus": "wmt99", **NO_FILES}, 2, "data.corpus: 'wmt99' is not one of synthetic.de-en, multi30k"),
        ({"corpus": "wmt14.en-de", **NO_FILES}, 2, "wmt14.en-de has no de to en; it has en to de"),
        ({"target_lang": "de"}, 2, "data.target_lang: 'de' is the source language too"),
        ({"source_lang": "de-DE"}, 2, "data.source_lang: 'de-DE' is not a language code"),
        ({"corpus": "synthetic.de-en", "synthetic_sentences": 0}, 2, "data.synthetic_sentences: 0"),
        ({"vocabulry_size": 100}, 2, "did you mean 'vocabulary_size'"),
    ],
)
def test_impossible_settings_end_with_their_status(text, capsys, data, code, message):
    got, line = error_of(capsys, write_config(**{**FILES, **data}))
    assert got == code
    assert message in line
    assert not Path("runs/small/data").exists()


def test_largest_possible_vocabulary_is_possible(text, capsys):
    _, line = error_of(capsys, write_config(**FILES, vocabulary_size=5000), "--run", "too_large")
    largest = int(line.rsplit(" ", 1)[1])
    assert status(write_config(**FILES, vocabulary_size=largest), "--run", "largest") == 0
    assert PreparedData("largest/data").target_vocabulary == largest


def test_failed_preparation_keeps_the_earlier_one(text, capsys, monkeypatch):
    config = write_config(**FILES)
    status(config)
    before = stamp("runs/small/data")
    write_lines("train.de", ["Nur eine Zeile."])
    code, _ = error_of(capsys, config)
    assert code == 3
    assert stamp("runs/small/data") == before

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device", "train.de")

    write_lines("train.de", [german for german, _ in text["train"]][::-1])
    monkeypatch.setattr(splits_module, "_open_text", full)
    code, line = error_of(capsys, config)
    assert code == 7
    assert "the disk is full" in line
    assert stamp("runs/small/data") == before


def test_run_directory_that_cannot_be_made(text, capsys):
    code, line = error_of(capsys, write_config(**FILES), "--run", "train.de/run")
    assert code == 7
    assert "a file stands where a directory is needed" in line


def test_run_directory_of_another_config(text, capsys):
    status(write_config(**FILES), "--run", "mine")
    before = stamp("mine/data")
    code, line = error_of(capsys, write_config("other.yaml", **FILES, max_length=9), "--run", "mine")
    assert code == 2
    assert "data.max_length differs" in line
    assert stamp("mine/data") == before


def test_prepared_data_that_is_not_there(tmp_path):
    with pytest.raises(ArtifactError, match="run hat-prepare"):
        PreparedData(tmp_path)


def test_truncated_raw_text_is_noticed(text):
    status(write_config(**FILES))
    write_lines("runs/small/data/raw/test.de", ["Nur eine."])
    with pytest.raises(ArtifactError, match="has 1 lines instead of 20; run hat-prepare"):
        PreparedData("runs/small/data").raw("test")
