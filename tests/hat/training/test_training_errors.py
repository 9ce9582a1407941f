"""What a user gets wrong, or a disk: one line and a status of its own, nothing lost."""

import errno
import io
import os
import platform
import shutil

import pytest
import torch
from tiny_run import make_interrupted_run

from hat.cli import train_sub as train_sub_command
from hat.cli import train_super as train_super_command
from hat.experiment.run_directory import mark_done, stamp
from hat.training.options import TrainingOptions
from hat.training.super import train_super


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A run whose super training was interrupted after its first checkpoint."""
    return make_interrupted_run(tmp_path_factory.mktemp("errors"))


@pytest.fixture
def run(trained, tmp_path):
    from hat.experiment.run_directory import RunDirectory

    return RunDirectory(shutil.copytree(trained.path, tmp_path / "run"))


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def refused(capsys, command, *arguments):
    """(exit status, the one line on stderr that says why)"""
    with pytest.raises(SystemExit) as stopped:
        command.main([str(argument) for argument in arguments])
    lines = [line for line in capsys.readouterr().err.splitlines() if ": error: " in line]
    assert len(lines) == 1
    return stopped.value.code, lines[0]


def test_a_run_that_is_not_prepared(run, capsys):
    shutil.rmtree(run.data)
    status, line = refused(capsys, train_super_command, "--run", run.path)
    assert status == 4
    assert "hat-prepare" in line


@pytest.mark.parametrize("content", [b"", b"not a checkpoint at all", None], ids=["empty", "foreign", "truncated"])
def test_a_damaged_checkpoint_is_named_and_kept(run, capsys, content):
    last = run.super_ / "checkpoints" / "checkpoint_last.pt"
    content = last.read_bytes()[:5000] if content is None else content
    last.write_bytes(content)
    with pytest.raises(Exception, match="checkpoint_last.pt is truncated or not a checkpoint of this training"):
        train_super(run, TrainingOptions(max_update=3))
    assert last.read_bytes() == content


def test_a_checkpoint_of_another_model(run, capsys):
    last = run.super_ / "checkpoints" / "checkpoint_last.pt"
    state = torch.load(last)
    state["model"] = {"weight": torch.zeros(3)}
    torch.save(state, last)
    with pytest.raises(Exception, match="not a checkpoint of this training"):
        train_super(run, TrainingOptions(max_update=3))


def test_a_gpu_that_is_not_there(run, capsys, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    status, line = refused(capsys, train_super_command, "--run", run.path, "--device", "cuda")
    assert status == 5
    assert "--device cpu" in line
    status, line = refused(capsys, train_super_command, "--run", run.path, "--fp16", "--device", "cpu")
    assert status == 2
    assert "--bf16" in line


@pytest.mark.parametrize(("instructions", "warnings"), [({}, 1), ({"_is_amx_tile_supported"}, 0)])
def test_bfloat16_on_a_cpu_without_instructions_for_it(run, capsys, monkeypatch, instructions, warnings):
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported"):
        monkeypatch.setattr(torch.cpu, name, lambda name=name: name in instructions)
    shutil.rmtree(run.data)
    with pytest.raises(SystemExit):
        train_super_command.main(["--run", str(run.path), "--bf16", "--device", "cpu"])
    assert capsys.readouterr().err.count("warning: --bf16: this CPU has no bfloat16 instructions") == warnings


def test_a_full_disk_leaves_the_checkpoint_before(run, capsys, monkeypatch):
    last = run.super_ / "checkpoints" / "checkpoint_last.pt"
    shutil.rmtree(run.super_)
    save = torch.save

    def save_until_full(content, handle):
        if last.exists():
            handle.write(b"some of it")
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        save(content, handle)

    monkeypatch.setattr(torch, "save", save_until_full)
    status, line = refused(capsys, train_super_command, "--run", run.path)
    assert status == 7
    assert "checkpoint_last.pt: the disk is full" in line
    assert torch.load(last)["optimizer_history"][-1]["num_updates"] == 3
    assert [path.name for path in last.parent.glob(".*.tmp")] == []


def test_a_loss_that_is_no_number(run, capsys, monkeypatch):
    shutil.rmtree(run.super_)
    clip = torch.nn.Module.train

    def poison(module, mode=True):
        for parameter in module.parameters():
            parameter.data.fill_(float("nan"))
        return clip(module, mode)

    monkeypatch.setattr(torch.nn.Module, "train", poison)
    status, line = refused(capsys, train_super_command, "--run", run.path)
    assert status == 1
    assert "training diverged at update 0" in line


def test_a_search_that_is_not_there(run, capsys):
    status, line = refused(capsys, train_sub_command, "--run", run.path)
    assert status == 2
    assert "hat-search" in line
    status, line = refused(capsys, train_sub_command, "cpu-200ms", "--run", run.path)
    assert status == 4
    assert "cpu-200ms" in line


def test_inheriting_from_a_supertransformer_that_is_not_trained(run, capsys):
    status, line = refused(capsys, train_sub_command, "--architecture", "full", "--init", "inherit", "--run", run.path)
    assert status == 4
    assert "--init scratch" in line


def test_inheriting_weights_that_are_truncated(run, capsys):
    mark_done(run.super_, "test", [])
    weights = run.super_ / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    status, line = refused(capsys, train_sub_command, "--architecture", "full", "--init", "inherit", "--run", run.path)
    assert status == 4
    assert "model.safetensors" in line


def test_an_architecture_file_without_a_name_and_one_from_another_space(run, capsys, tmp_path):
    mark_done(run.super_, "test", [])
    file = tmp_path / "foreign.yaml"
    from hat import files

    description = run.config.search_space.smallest().to_dict()
    description["encoder"]["embed_dim"] = 20
    files.write_yaml(file, description)
    status, line = refused(capsys, train_sub_command, "--architecture", file, "--run", run.path)
    assert (status, "--name" in line) == (2, True)
    arguments = ("--architecture", file, "--name", "x", "--init", "inherit", "--run", run.path)
    status, line = refused(capsys, train_sub_command, *arguments)
    assert status == 2
    assert "encoder.embed_dim = 20" in line


def test_a_config_that_changed_starts_the_training_over(run):
    claimed = run.super_ / "checkpoints" / "checkpoint_last.pt"
    assert claimed.exists()
    before = io.BytesIO(claimed.read_bytes())
    train_super(run, TrainingOptions(max_update=4))
    assert torch.load(claimed)["optimizer_history"][-1]["num_updates"] == 4
    assert torch.load(before)["optimizer_history"][-1]["num_updates"] == 3


def test_a_supertransformer_trained_again_is_another_one_to_the_stages_after_it(run):
    def trained(precision):
        shutil.rmtree(run.super_)
        train_super(run, TrainingOptions(max_update=3, precision=precision))
        return stamp(run.super_)

    first = trained("fp32")
    assert trained("bf16") != first  # its inputs are the same
    assert trained("fp32") == first
