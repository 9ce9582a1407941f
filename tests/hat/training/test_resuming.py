"""What changes when a training goes on with another number of processes or another precision."""

import shutil

import pytest
import torch
from forked_ranks import together
from hypothesis import given
from hypothesis import strategies as st
from near_models import assert_near
from tiny_run import make_interrupted_run, make_run

from hat.errors import ArtifactError
from hat.experiment.run_directory import RunDirectory
from hat.experiment.sections import SubTrainingConfig
from hat.training import parallel, sub, super
from hat.training.batches import UpdateBatches
from hat.training.options import TrainingOptions
from hat.training.parallel import Job, train_all
from hat.training.resuming import circumstances, position_among, remarks
from hat.training.super import train_super


def batches(processes, tokens_per_update=8 * 4096, max_tokens=4096):
    recipe = SubTrainingConfig(10, 0, 0.1, max_tokens=max_tokens, tokens_per_update=tokens_per_update)
    return UpdateBatches.of(recipe, processes)


@given(updates=st.integers(0, 12), before=st.sampled_from([1, 2, 4, 8]), now=st.sampled_from([1, 2, 4, 8]))
def test_the_same_sentences_are_next_whatever_the_number_of_processes(updates, before, now):
    def taken(processes, position):
        """Numbers of the batches, dealt out in turns, that have been taken after `position` in each process."""
        return {turn * processes + rank for turn in range(position) for rank in range(processes)}

    earlier, later = batches(before), batches(now)
    position = {"epoch": 3, "iterations_in_epoch": updates * earlier.count, "shuffle": True}
    moved = position_among(later, position, circumstances(earlier, "fp32"), length=1000)
    assert taken(before, position["iterations_in_epoch"]) == taken(now, moved["iterations_in_epoch"])
    assert (moved["epoch"], moved["shuffle"]) == (3, True)


def test_a_position_stays_within_the_epoch():
    before = circumstances(batches(1, max_tokens=512), "fp32")
    moved = position_among(batches(2), {"epoch": 1, "iterations_in_epoch": 640}, before, length=9)
    assert moved["iterations_in_epoch"] == 8


@pytest.mark.parametrize(
    ("before", "now", "precisions", "expected"),
    [
        (batches(1), batches(1), ("fp32", "fp32"), []),
        (batches(1), batches(4), ("fp32", "fp32"), ["T: 1 processes came to update 7, 4 go on with the same batches"]),
        (batches(1), batches(3), ("fp32", "fp32"), ["T: 1 processes came to update 7, 3 go on in batches of other"]),
        (batches(1), batches(1), ("bf16", "fp32"), ["warning: T: trained in bf16 up to update 7, goes on in fp32"]),
    ],
)
def test_what_is_other_than_before_is_told(before, now, precisions, expected):
    lines = list(remarks("T", 7, circumstances(before, precisions[0]), circumstances(now, precisions[1])))
    assert len(lines) == len(expected)
    assert all(line.startswith(start) for line, start in zip(lines, expected, strict=True))


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A run whose super training came to its last checkpoint."""
    still = {"dropout": 0.0, "attention_dropout": 0.0}  # ranks draw other masks than one process does
    return make_interrupted_run(tmp_path_factory.mktemp("resuming"), model=still, super_training={"warmup_updates": 1})


@pytest.fixture
def run(trained, tmp_path):
    return RunDirectory(shutil.copytree(trained.path, tmp_path / "run"))


def test_two_processes_go_on_from_one_and_one_from_two(run, trained, tmp_path, capfd):
    other = RunDirectory(shutil.copytree(trained.path, tmp_path / "other"))
    for count, until in ((2, 6), (1, 9)):
        together(*[lambda until=until: train_super(run, TrainingOptions(max_update=until))] * count)
    told = capfd.readouterr().out
    assert "1 processes came to update 3, 2 go on with the same batches" in told
    assert "2 processes came to update 6, 1 go on with the same batches" in told
    train_super(other, TrainingOptions(max_update=9))
    assert_near(other.super_, run.super_)


def test_two_processes_that_drop_out_go_on_to_the_same_bits(tmp_path):
    weights = []
    for name, ends in (("whole", (9,)), ("parts", (6, 9))):
        (tmp_path / name).mkdir()
        run = make_run(tmp_path / name, model={"dropout": 0.3}, super_training={"warmup_updates": 1})
        for end in ends:
            together(*[lambda run=run, end=end: train_super(run, TrainingOptions(max_update=end))] * 2)
        weights.append((run.super_ / "model.safetensors").read_bytes())
    assert weights[0] == weights[1]


def test_another_precision_is_told(run, capsys):
    train_super(run, TrainingOptions(max_update=3, precision="bf16"))
    assert "warning: SuperTransformer: trained in fp32 up to update 3, goes on in bf16" in capsys.readouterr().out


def test_a_checkpoint_of_fp16_is_for_fp16(run):
    last = run.super_ / "checkpoints" / "checkpoint_last.pt"
    state = torch.load(last)
    state["optimizer_history"][-1]["optimizer_name"] = "FP16Optimizer"
    torch.save(state, last)
    with pytest.raises(ArtifactError, match="checkpoint_last.pt was saved with --fp16; go on like that"):
        train_super(run, TrainingOptions(max_update=3))


def test_what_is_trained_alone_is_trained_in_processes_and_told_how(run, monkeypatch):
    started = []

    def run_in_processes(module, arguments, options):
        started.append((module, *map(str, arguments), *options.arguments()))

    monkeypatch.setattr(super, "run_in_processes", run_in_processes)
    monkeypatch.setattr(sub, "run_in_processes", run_in_processes)
    monkeypatch.setattr(parallel, "usable_cores", lambda: 2)
    options = TrainingOptions(precision="bf16", threads=1, device="cpu", processes=2)
    train_super(run, options)
    train_all(run, [Job("small", run.config.search_space.smallest())], options, "small")
    flags = ("--bf16", "--threads", "1", "--device", "cpu")
    file = run.sub("small") / "architecture.yaml"
    named = ("--architecture", str(file), "--name", "small", "--run", str(run.path))
    assert started == [
        ("hat.cli.train_super", "--run", str(run.path), *flags),
        ("hat.cli.train_sub", *named, *flags),
    ]
    assert file.exists()
