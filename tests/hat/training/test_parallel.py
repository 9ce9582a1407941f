"""Trainings at the same time: the same weights as one after the other, errors and ends of the processes."""

import signal
import subprocess
import sys
import time

import pytest
from tiny_run import make_run

from hat.errors import ArtifactError
from hat.training import parallel
from hat.training.options import TrainingOptions
from hat.training.parallel import Job, train_all
from hat.training.sub import brief_loss, train_briefly, train_sub

pytestmark = pytest.mark.alone

DEADLINE = 600  # seconds, after which it hangs
ONE_THREAD = TrainingOptions(threads=1)


@pytest.fixture(autouse=True)
def _two_cores(monkeypatch):
    monkeypatch.setattr(parallel, "usable_cores", lambda: 2)


@pytest.fixture
def runs(tmp_path):
    """(run to train in parallel, its like to train in this process)"""
    for name in ("parallel", "here"):
        (tmp_path / name).mkdir()
    return make_run(tmp_path / "parallel"), make_run(tmp_path / "here")


def jobs_of(run, until=None):
    space = run.config.search_space
    return [Job("full", space.full_transformer(), until), Job("small", space.smallest(), until)]


def weights(run, name):
    return (run.sub(name) / "model.safetensors").read_bytes()


def test_processes_train_what_one_does_and_go_on_from_brief_trainings(runs, monkeypatch):
    run, here = runs
    train_all(run, jobs_of(run, until=4), TrainingOptions(), "finalists")
    for job in jobs_of(here):
        loss = train_briefly(here, job.name, job.architecture, 4, ONE_THREAD)
        assert brief_loss(run, job.name, job.architecture, 4, ONE_THREAD) == loss
        train_sub(here, job.name, job.architecture, ONE_THREAD)
    train_all(run, jobs_of(run), TrainingOptions(), "both")
    for name in ("full", "small"):
        assert weights(run, name) == weights(here, name)
        assert "12/12 updates" in (run.path / "logs" / f"train.{name}.log").read_text()

    def unwanted(*_arguments, **_options):
        raise AssertionError("up to date: no process is needed")

    monkeypatch.setattr(subprocess, "Popen", unwanted)
    train_all(run, jobs_of(run), TrainingOptions(), "both")
    train_all(run, jobs_of(run, until=4), TrainingOptions(), "finalists")


def test_a_warning_of_one_is_told(runs, capsys):
    run, _ = runs
    train_sub(run, "small", run.config.search_space.full_transformer(), ONE_THREAD)  # of another: it moves aside
    capsys.readouterr()
    train_all(run, jobs_of(run), TrainingOptions(), "both")
    assert "warning: the checkpoints in" in capsys.readouterr().out


def test_an_error_is_of_its_kind_and_names_the_log(runs, capsys):
    run, _ = runs
    last = run.sub("small") / "checkpoints" / "checkpoint_last.pt"
    train_sub(run, "small", run.config.search_space.smallest(), ONE_THREAD)
    (run.sub("small") / "done.json").unlink()
    last.write_bytes(b"not a checkpoint")
    with pytest.raises(ArtifactError, match=r"training small: .*checkpoint_last.pt is truncated") as error:
        train_all(run, jobs_of(run), TrainingOptions(), "both")
    assert f"(log: {run.path / 'logs' / 'train.small.log'})" in str(error.value)
    assert last.read_bytes() == b"not a checkpoint"


def children_of(process):
    found = subprocess.run(["ps", "--ppid", str(process), "-o", "pid="], capture_output=True, text=True, check=False)
    return [int(line) for line in found.stdout.split()]


def is_alive(process):
    state = subprocess.run(["ps", "-p", str(process), "-o", "stat="], capture_output=True, text=True, check=False)
    return state.stdout.strip()[:1] not in ("", "Z")


def wait_until(condition):
    deadline = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


SCRIPT = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it
from hat.experiment.run_directory import RunDirectory
from hat.training import parallel
from hat.training.options import TrainingOptions
parallel.usable_cores = lambda: 2
run = RunDirectory(sys.argv[1])
space = run.config.search_space
jobs = [parallel.Job("full", space.full_transformer()), parallel.Job("small", space.smallest())]
parallel.train_all(run, jobs, TrainingOptions(), "both")
"""


@pytest.mark.parametrize("kind", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_no_process_outlives_its_parent(tmp_path, kind):
    (tmp_path / "run").mkdir()
    run = make_run(tmp_path / "run", sub_training={"max_update": 5000})
    parent = subprocess.Popen([sys.executable, "-c", SCRIPT, str(run.path)], stderr=subprocess.PIPE)
    begun = [run.sub(name) / "checkpoints" / "inputs.json" for name in ("full", "small")]
    wait_until(lambda: parent.poll() is not None or all(path.exists() for path in begun))
    children = children_of(parent.pid)
    assert len(children) == 2
    parent.send_signal(kind)
    parent.communicate()
    wait_until(lambda: not any(is_alive(child) for child in children))
    assert not (run.sub("full") / "done.json").exists()
