"""Training under torchrun, on one machine and on two: the commands that are named, equal weights, deaths.

Machines are torchruns of two processes each on the loopback interface, each in a folder of its own.
"""

import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from deaths import rank_process
from near_models import assert_near
from sshd import free_port
from tiny_run import make_run

from hat import files
from hat.cli.train_super import main
from hat.experiment.run_directory import RunDirectory
from hat.training import processes
from hat.training.options import TrainingOptions
from hat.training.super import train_super

COMMAND = "torchrun --nnodes {} --nproc_per_node {} --no-python -- hat-train-super"
README = Path(__file__).parents[2] / "README.md"
DEADLINE = 300  # seconds: the machine may be busy
END = 60  # seconds until all have ended after a death
STILL = {"dropout": 0.0, "attention_dropout": 0.0}  # ranks draw other masks than one process does
UPDATES = 24
TOKENS = 400  # a batch
BATCHES = 16  # an update: it takes so long that a training isn't over before it is killed
TRAINING = {
    "max_update": UPDATES,
    "tokens_per_update": BATCHES * TOKENS,
    "validate_every": UPDATES,
    "save_every": 2,
}
ARGUMENTS = ["tiny.yaml", "--run", "named", "--device", "cpu"]


def test_the_command_is_the_one_that_is_named(capsys, monkeypatch):
    assert COMMAND.format(2, 8) in README.read_text(encoding="utf-8")
    monkeypatch.setenv("COLUMNS", "1000")
    with pytest.raises(SystemExit):
        main(["--help"])
    assert COMMAND.format(2, "N") in capsys.readouterr().out


class Machine:
    """One torchrun of two processes in `folder`; what it says goes to a file there."""

    def __init__(self, folder, number, port, arguments):
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        scripts = Path(sys.executable).parent
        environment["PATH"] = f"{scripts}{os.pathsep}{os.environ['PATH']}"
        # torchrun's own way to be given options
        environment |= {"PET_NODE_RANK": str(number), "PET_MASTER_ADDR": "127.0.0.1", "PET_MASTER_PORT": str(port)}
        self.folder, self._log = folder, folder / "log"
        with open(self._log, "w") as log:
            command = [*shlex.split(COMMAND.format(2, 2)), *arguments]
            self.torchrun = subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=log)

    def told(self):
        return self._log.read_text(encoding="utf-8")

    def end(self, seconds=DEADLINE):
        """Its exit status, when it ends by itself in this time."""
        try:
            return self.torchrun.wait(seconds)
        finally:
            self.torchrun.terminate()  # and its processes


def start(folders, arguments=ARGUMENTS):
    port = free_port()
    return [Machine(folder, number, port, arguments) for number, folder in enumerate(folders)]


def make_text(folder):
    """A folder with a config and its text, nothing prepared."""
    folder.mkdir()
    path = make_run(folder, model=STILL, super_training=TRAINING).path
    path.rename(folder / "unused")
    return folder


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """(folder of the model that one process trained, a run directory that one process left in the middle)"""
    folder = make_text(tmp_path_factory.mktemp("alone") / "one")
    run = RunDirectory(folder / "unused")
    train_super(run, TrainingOptions(max_update=UPDATES // 2))
    (run.super_ / "done.json").unlink()
    half = tmp_path_factory.mktemp("half") / "run"
    run.path.rename(half)
    ended = RunDirectory(make_text(tmp_path_factory.mktemp("whole") / "one") / "unused")
    train_super(ended)
    return ended.super_, half


def wait_for(condition, seconds=DEADLINE):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def saved_update(folder):
    """Of which update the checkpoint to resume from is."""
    last = folder / "named/super/checkpoints/checkpoint_last.pt"
    return torch.load(last)["optimizer_history"][-1]["num_updates"] if last.exists() else 0


def start_and_train(folders):
    """Machines that have come further than those before."""
    before, machines = saved_update(folders[0]), start(folders)

    def have_come_further():
        assert [machine.torchrun.poll() for machine in machines] == [None, None], machines[0].told()
        return saved_update(folders[0]) > before

    wait_for(have_come_further)
    return machines


def has_ended(process):
    return not Path(f"/proc/{process}").exists()


def child_of(parent):
    """The process id of the one child of a process."""
    return int(Path(f"/proc/{parent}/task/{parent}/children").read_text())


def test_two_machines_with_disks_of_their_own_survive_deaths_and_equal_one_process(tmp_path, alone):
    folders = [make_text(tmp_path / name) for name in ("first", "second")]

    def check_end(machines):
        assert 0 not in [machine.end(END) for machine in machines]
        assert not (folders[0] / "named/super/done.json").exists()

    machines = start_and_train(folders)
    os.kill(rank_process(machines[1].torchrun.pid, 3), signal.SIGKILL)
    check_end(machines)
    assert processes.LOST in machines[0].told()
    assert "SIGKILL" in machines[1].told()
    assert "is on 2 disks" in machines[0].told()
    assert [(folder / "named/data/done.json").exists() for folder in folders] == [True, True]

    machines = start_and_train(folders)
    first, orphan = rank_process(machines[0].torchrun.pid, 0), rank_process(machines[1].torchrun.pid, 2)
    os.kill(first, signal.SIGSTOP)  # else the training may be over before an orphan looks for its parent
    machines[1].torchrun.kill()
    wait_for(lambda: has_ended(orphan), END)
    os.kill(first, signal.SIGCONT)
    check_end(machines)
    assert processes.LOST in machines[0].told()
    assert "torchrun has ended" in machines[1].told()

    machines = start_and_train(folders)
    os.kill(rank_process(machines[0].torchrun.pid, 0), signal.SIGKILL)
    check_end(machines)
    assert "SIGKILL" in machines[0].told()
    assert processes.LOST in machines[1].told()

    machines = start(folders)
    assert [machine.end() for machine in machines] == [0, 0], machines[0].told()
    assert machines[0].told().count("next: hat-measure-latency") == 1
    assert not (folders[1] / "named/super/model.safetensors").exists()
    metrics = files.read_json_lines(folders[0] / "named/super/metrics.jsonl")
    assert [row["update"] for row in metrics] == [UPDATES]
    assert_near(alone[0], folders[0] / "named/super")


def test_a_command_with_processes_ends_with_all_of_them_and_goes_on(tmp_path, alone):
    folder = make_text(tmp_path / "one")
    command = [sys.executable, "-m", "hat.cli.train_super", *ARGUMENTS, "--processes", "2"]
    with open(folder / "log", "w") as log:
        started = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log)
        wait_for(lambda: saved_update(folder) > 0)
        rank = rank_process(child_of(started.pid), 1)
        started.kill()
        wait_for(lambda: has_ended(rank), END)
        assert started.wait() != 0
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=DEADLINE)
    assert done.returncode == 0, done.stderr
    assert f"an update: 2 processes x {BATCHES // 2} batches of {TOKENS} tokens" in done.stdout
    assert_near(alone[0], folder / "named/super")


def test_two_machines_with_a_shared_disk_go_on_from_one_process(tmp_path, alone):
    folders = [make_text(tmp_path / name) for name in ("first", "second")]
    shared = shutil.copytree(alone[1], tmp_path / "shared")
    machines = start(folders, ["--run", str(shared), "--device", "cpu"])
    assert [machine.end() for machine in machines] == [0, 0], machines[0].told()
    told = machines[0].told()
    assert f"{shared} is on a disk that 2 machines share" in told
    assert f"1 processes came to update {UPDATES // 2}, 4 go on with the same batches" in told
    assert_near(alone[0], shared / "super")
