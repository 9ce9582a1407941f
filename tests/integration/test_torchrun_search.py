"""The real hat-search under torchrun: the files of one process, a killed rank, the search gone on with."""

import os
import shutil
import signal
import subprocess
import sys
import time

import pytest
from deaths import rank_process
from tiny_run import make_run

from hat.experiment.run_directory import RunDirectory
from hat.training.super import train_super
from latency_predictor.budget import parse_budget
from latency_predictor.sampling.collect import collect
from search.run import search

BUDGET = "10s"  # everything meets it, however busy the machine
NAME = "cpu-10s"
SEARCH = {
    "population": 40,
    "parents": 10,
    "mutations": 10,
    "crossovers": 10,
    "iterations": 20,
    "measured_finalists": 2,
    "validation_sentences": 20,
    "rungs": [4, 10],
}
LATENCY = {"samples": 12, "source_length": 4, "target_steps": 4, "beam": 2, "repeats": 3}
# What depends on no measurement of the search itself.
EXACT = ("state.json", "history.json", "front.json", "candidates.json", "architecture.yaml")
DEADLINE = 300  # seconds: the machine may be busy, and is then measured slowly
END = 60  # seconds until the others have ended after a kill


@pytest.fixture(scope="module")
def ready(tmp_path_factory):
    """A run directory with everything that a search reads, and with what a first one measured before it scored."""
    folder = tmp_path_factory.mktemp("ready")
    run = make_run(folder, latency=LATENCY, search=SEARCH)
    before = os.getcwd()
    os.chdir(folder)
    try:
        train_super(run)
        collect(run, "cpu")
        search(run, "cpu", [parse_budget(BUDGET)])
    finally:
        os.chdir(before)
    for path in [
        *run.search(NAME).iterdir(),
        run.path / "search" / "evaluations.jsonl",
        *run.latency.glob("*.calls.jsonl"),
    ]:
        if path.name != "aim.json":
            path.unlink()
    return run.path


def start(folder, ready, processes):
    if not folder.exists():
        shutil.copytree(ready, folder)
    command = [sys.executable, "-m"]
    if processes > 1:
        command += ["torch.distributed.run", "--standalone", f"--nproc_per_node={processes}", "-m", "--"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [*command, "hat.cli.search", "--run", str(folder), "--latency", BUDGET],
        cwd=folder.parent,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def end(process, seconds=DEADLINE):
    """(exit status, output, errors) of a search that ends by itself in this time."""
    try:
        output, errors = process.communicate(timeout=seconds)
    finally:
        process.terminate()  # torchrun ends its processes then
    return process.returncode, output, errors


def results(folder):
    run = RunDirectory(folder)
    kept = {name: (run.search(NAME) / name).read_bytes() for name in EXACT}
    return kept | {"evaluations": (folder / "search" / "evaluations.jsonl").read_bytes()}


@pytest.fixture(scope="module")
def alone(ready):
    process = start(ready.parent / "one", ready, 1)
    status, _, errors = end(process)
    assert status == 0, errors
    return results(ready.parent / "one")


def test_two_processes_leave_the_files_of_one(ready, alone):
    process = start(ready.parent / "two", ready, 2)
    status, output, errors = end(process)
    assert status == 0, errors
    assert output.count("next: hat-train-sub") == 1  # one process speaks
    found = results(ready.parent / "two")
    assert {name for name in alone if found[name] != alone[name]} == set()


@pytest.mark.parametrize("rank", [0, 1])
def test_a_killed_rank_ends_the_search_which_then_goes_on(ready, alone, rank):
    folder = ready.parent / f"killed{rank}"
    process, evaluations = start(folder, ready, 2), folder / "search" / "evaluations.jsonl"
    deadline = time.monotonic() + DEADLINE
    while not evaluations.exists() and time.monotonic() < deadline:
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.005)
    os.kill(rank_process(process.pid, rank), signal.SIGKILL)
    status, _, _ = end(process, END)
    assert status != 0
    assert not (folder / "search" / NAME / "done.json").exists()
    status, _, errors = end(start(folder, ready, 2))
    assert status == 0, errors
    assert results(folder) == alone
