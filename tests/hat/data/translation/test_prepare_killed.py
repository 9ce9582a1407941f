"""hat-prepare killed, or out of disk, at any of its writes: it goes on where it was, to the same data."""

import errno
import itertools
import shutil
import signal
from pathlib import Path

import pytest
from deaths import run_and_die
from preparing import FILES, error_of, status, write_config, write_lines

from hat import files
from hat.data.translation import prepare as prepare_module
from hat.fairseq_plugin.binarise import BinarisedText

MAX_LENGTH = 60  # some pairs of the text are longer
RUN = Path("runs/small")


@pytest.fixture
def config(text):
    """A config whose data are in `whole/data`, made in one go."""
    config = write_config(**FILES, max_length=MAX_LENGTH)
    assert status(config, "--run", "whole") == 0
    return config


def content(data):
    return {str(path.relative_to(data)): path.read_bytes() for path in data.rglob("*") if path.is_file()}


def assert_whole():
    assert content(RUN / "data") == content(Path("whole/data"))
    assert sorted(path.name for path in RUN.glob("[!.]*")) == ["config.yaml", "data"]


def test_killed_at_any_write_it_ends_with_the_same_data(config):
    for count in itertools.count(1, 2):
        exit_code = run_and_die(lambda: prepare_module_main(config), replacements=count)
        died = exit_code == -signal.SIGKILL
        assert died or exit_code == 0
        assert status(config) == 0
        assert_whole()
        shutil.rmtree(RUN)
        if not died:
            break
    assert count > 20


def prepare_module_main(config):
    assert status(config) == 0


def test_killed_again_and_again_it_comes_to_its_end(config):
    deaths = 0
    while run_and_die(lambda: prepare_module_main(config), replacements=12) != 0:
        deaths += 1
        assert deaths < 10
    assert deaths >= 2
    assert_whole()


def die(*_):
    raise KeyboardInterrupt


def interrupt_at(config, monkeypatch, owner, name):
    """Prepare until `owner.name` is called."""
    with monkeypatch.context() as patched:
        patched.setattr(owner, name, die)
        assert status(config) == 130


def test_killed_before_its_end_it_has_the_same_stamp(config, monkeypatch):
    interrupt_at(config, monkeypatch, Path, "rename")
    assert (RUN / "data.building" / "data" / "done.json").exists()
    assert status(config) == 0
    assert_whole()


def test_finished_stages_are_not_repeated(config, monkeypatch):
    interrupt_at(config, monkeypatch, prepare_module, "_write_dictionaries")
    for stage in ("write_text", "train_tokenizer", "write_encoded"):
        monkeypatch.setattr(prepare_module, stage, die)
    assert status(config) == 0
    assert_whole()


def test_what_was_made_of_other_text_is_not_used(config, monkeypatch, text):
    interrupt_at(config, monkeypatch, prepare_module, "_write_dictionaries")
    write_lines("train.de", [german for german, _ in text["train"]][::-1])
    assert status(config) == 0
    assert status(config, "--run", "reversed") == 0
    assert content(RUN / "data") == content(Path("reversed/data"))


def test_full_disk_keeps_what_is_finished_and_leaves_nothing_half_written(config, capsys, monkeypatch):
    written = []

    def full(self, sentences):
        written.append(len(sentences))
        if len(written) > 2:
            raise OSError(errno.ENOSPC, "No space left on device")
        add(self, sentences)

    add = BinarisedText.add
    with monkeypatch.context() as patched:
        patched.setattr(BinarisedText, "add", full)
        code, line = error_of(capsys, config)
    assert code == 7
    assert "data.building/data/valid.de-en." in line
    assert "the disk is full; free some space and run again" in line
    assert not list(RUN.rglob(".*.tmp"))
    monkeypatch.setattr(prepare_module, "train_tokenizer", full)
    assert status(config) == 0
    assert_whole()


def test_each_source_file_is_hashed_once(config, monkeypatch):
    hashed = []
    digest = files.sha256_of_file

    def recording(path):
        if path.parent == Path():  # else it is an output
            hashed.append(path.name)
        return digest(path)

    monkeypatch.setattr(files, "sha256_of_file", recording)
    assert status(config) == 0
    assert sorted(hashed) == sorted(itertools.chain.from_iterable(FILES.values()))
    assert status(config) == 0
    assert len(hashed) == 6
    Path("train.de").touch()
    assert status(config) == 0
    assert hashed[6:] == ["train.de"]


def test_text_is_never_there_twice(config, monkeypatch):
    most = []
    replace = files.os.replace

    def counting(*paths):
        replace(*paths)
        sizes = [path.stat().st_size for path in RUN.rglob("train.??") if path.is_file()]
        most.append(sum(sizes))

    monkeypatch.setattr(files.os, "replace", counting)
    assert status(config) == 0
    sides = [Path(name).stat().st_size for name in FILES["train"]]
    assert max(most) < sum(sides) + max(sides)
