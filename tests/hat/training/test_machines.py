"""Processes on several machines: who shares a disk with whom, and what must be the same on all."""

import errno
import importlib.metadata
import os
import socket

import pytest
import torch
from forked_ranks import together
from tiny_run import make_run

from hat import files
from hat.errors import ArtifactError
from hat.experiment.run_directory import RunDirectory, stamp
from hat.training import machines, processes


@pytest.fixture
def config(tmp_path):
    (tmp_path / "made").mkdir()
    return make_run(tmp_path / "made").config


def met(directory, config, device="cpu"):
    """What a process does that meets the others: whether it is the first of its disk, and what is left there."""

    def meet():
        machines.meet(directory, config, device)
        processes.barrier()
        return machines.is_first_here(), sorted(path.name for path in directory.iterdir())

    return meet


def test_the_first_of_each_disk(tmp_path, config, capfd):
    near, far = tmp_path / "near", tmp_path / "far" / "away"
    near.mkdir()
    (near / ".disk-left by a killed start.3").touch()
    found = together(*(met(folder, config) for folder in (near, near, far, far)))
    assert found == [(True, []), (False, []), (True, []), (False, [])]
    told = capfd.readouterr().out
    for folder in (near, far):
        assert (
            f"{folder} is on 2 disks: the data is prepared on each; checkpoints and results are kept by rank 0" in told
        )
    assert socket.gethostname() in told


def test_a_shared_disk_has_one_first_process(tmp_path, config, capfd):
    assert [first for first, _ in together(*[met(tmp_path / "run", config)] * 3, GROUP_WORLD_SIZE=3)] == [
        True,
        False,
        False,
    ]
    assert capfd.readouterr().out.count(f"{tmp_path / 'run'} is on a disk that 3 machines share") == 1
    together(*[met(tmp_path / "run", config)] * 2)
    assert capfd.readouterr().out == ""  # one machine


def test_another_config_is_told_by_its_key(tmp_path, config):
    changed = tmp_path / "changed"
    changed.mkdir()
    other = make_run(changed, sub_training={"lr": 0.02}).config
    first, same, differs = together(*(met(tmp_path / "run", each) for each in (config, config, other)))
    kind, text = differs
    assert kind == "UsageError"
    assert "rank 2" in text
    assert "config key sub_training.lr is 0.02 here and 0.01 on rank 0" in text
    for each in (first, same):
        assert each == ("ProcessError", f"rank 2 has ended: {text}")
    assert not (tmp_path / "run").exists()


def test_another_version_of_a_package_is_told(tmp_path, config, monkeypatch):
    def older():
        monkeypatch.setattr(importlib.metadata, "version", lambda name: "0.1" if name == "torch" else "1")
        return met(tmp_path / "run", config)()

    monkeypatch.setattr(importlib.metadata, "version", lambda name: "1")
    (first, _), (second, text) = together(met(tmp_path / "run", config), older)
    assert (first, second) == ("ProcessError", "UsageError")
    assert "package torch is 0.1 here and 1 on rank 0" in text


def test_a_machine_without_a_gpu_is_told(tmp_path, config):
    (first, _), (second, text) = together(met(tmp_path / "run", config, "cuda"), met(tmp_path / "run", config))
    assert (first, second) == ("ProcessError", "UsageError")
    assert "device kind is cpu here and cuda on rank 0" in text


def test_a_rank_without_a_gpu_of_its_own_is_told(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "set_device", lambda _number: None)
    first, second = together(*[lambda: processes.agreed(processes._take_gpu)] * 2)
    assert second == ("DeviceError", first[1].removeprefix("rank 1 has ended: "))
    assert "rank 1 has no GPU: torch finds 1 on its machine; start 1 processes there" in second[1]


def test_a_disk_that_is_full_ends_all_and_is_named_where_it_is(tmp_path, config):
    def prepared(directory):
        def full():
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(directory))

        def prepare():
            machines.meet(directory, config, "cpu")
            machines.first_here(full if directory.name == "far" else lambda: None)

        return prepare

    found = together(*(prepared(tmp_path / name) for name in ("near", "near", "far", "far")))
    assert [kind for kind, _ in found] == ["ProcessError", "ProcessError", "OSError", "ProcessError"]
    assert all(str(tmp_path / "far") in text for _, text in found)


def test_other_prepared_data_is_told(tmp_path):
    checks = []
    for name, words in (("near", 40), ("far", 40), ("other", 41)):
        (tmp_path / name).mkdir()
        run = make_run(tmp_path / name, data={"vocabulary_size": words})
        checks.append(lambda run=run: machines.check_same_data(run))
    assert together(*checks[:2]) == [None, None]
    (first, _), (second, text) = together(checks[0], checks[2])
    assert (first, second) == ("ProcessError", "UsageError")
    assert f"digest of data is {stamp(tmp_path / 'other/run/data')} here and " in text


def test_what_the_first_process_raises_ends_the_others():
    def missing():
        raise ArtifactError("not here")

    first, second = together(*[lambda: processes.from_first(missing)] * 2)
    assert first == ("ArtifactError", "not here")
    assert second == ("ProcessError", processes.LOST)


def test_leftovers_of_a_killed_start_are_no_foreign_content(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run = make_run(tmp_path)
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / ".disk-0123.1").touch()
    files.write_yaml(tmp_path / "mine.yaml", run.config.to_dict())
    assert RunDirectory.create(tmp_path / "mine.yaml", tmp_path / "new").config == run.config
