"""Trainings that don't depend on each other, at the same time: on a CPU each in a process of its own, over its cores.

How many threads each has follows from the cores and from how many trainings there are, finished ones included, so that
a resumed one is exact to the last bit. A GPU does one training after the other. Where torchrun started several
processes, one of them calls this, and each training still has one process.
"""

import concurrent.futures
import json
import os
import subprocess
import sys
import threading
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from hat.architecture.stacks import Architecture
from hat.deploy.batching import usable_cores
from hat.errors import HatError
from hat.experiment.run_directory import FULL, RunDirectory
from hat.progress import Progress
from hat.training import processes

if TYPE_CHECKING:
    from hat.training.options import TrainingOptions


TORCHRUN = ("WORLD_SIZE", "RANK", "LOCAL_RANK")  # what tells a process of others


@dataclass(frozen=True)
class Job:
    """`train_sub` of an architecture into `run.sub(name)`; with `until`, `train_briefly` up to that update."""

    name: str
    architecture: Architecture
    until: int | None = None


def train_all(run: RunDirectory, jobs: Sequence[Job], options: "TrainingOptions", title: str) -> None:
    """Do all Jobs, what is up to date left out, with TrainingOptions `options`; `title` names them in the progress.

    Those that learn from others of the run come after the rest, and the full-size Transformer before all, even if it
    is no job, where it is to teach and isn't there. The output of each goes to a file in the run's folder
    `logs`. Raises the error of the first that fails, which names its log; the others are then stopped, and go on from
    their last checkpoints when this is called again.
    """
    from hat.training.distillation import lacks_full, training_dependencies

    if lacks_full(run, [job.name for job in jobs]):
        teacher = Job(FULL, run.config.search_space.full_transformer())
        train_all(run, [teacher], options.of_a_teacher(), "train the teacher")
    for taught in (False, True):
        wave = [job for job in jobs if bool(training_dependencies(run, job.name)) == taught]
        if wave:
            _train_wave(run, wave, options, title)


def _train_wave(run: RunDirectory, jobs: Sequence[Job], options: "TrainingOptions", title: str) -> None:
    workers = min(_workers(options), len(jobs))
    if workers > 1 and options.threads is None:
        options = replace(options, threads=usable_cores() // workers)
    left = [job for job in jobs if not _is_done(run, job, options)]
    if (workers == 1 and processes.world_size() == 1) or not left:
        for job in left:
            _train_here(run, job, options)
        return
    ends = [_end(run, job, options) for job in left]
    with Progress(title, sum(ends), "updates") as progress:
        children = _Children(run, replace(options, processes=1), progress)
        with concurrent.futures.ThreadPoolExecutor(workers) as executor:
            futures = [executor.submit(children.train, job, end) for job, end in zip(left, ends, strict=True)]
            try:
                for future in concurrent.futures.as_completed(futures):
                    future.result()
            except BaseException:
                children.stop()
                raise


def _workers(options: "TrainingOptions") -> int:
    return 1 if options.resolved_device() == "cuda" else usable_cores()


def _is_done(run: RunDirectory, job: Job, options: "TrainingOptions") -> bool:
    from hat.training.sub import brief_loss, is_up_to_date

    if job.until is None:
        return is_up_to_date(run, job.name, job.architecture, options)
    return brief_loss(run, job.name, job.architecture, job.until, options) is not None


def _train_here(run: RunDirectory, job: Job, options: "TrainingOptions") -> None:
    from hat.training.sub import train_briefly, train_sub

    if job.until is None:
        train_sub(run, job.name, job.architecture, options)
    else:
        train_briefly(run, job.name, job.architecture, job.until, options)


def _end(run: RunDirectory, job: Job, options: "TrainingOptions") -> int:
    return job.until or options.max_update or run.config.sub_training.max_update


class _Children:
    """Processes of `hat.training.job`; each ends with this one, however that ends."""

    _running: set[subprocess.Popen[str]]

    def __init__(self, run: RunDirectory, options: "TrainingOptions", progress: Progress) -> None:
        self._run, self._options, self._progress = run, options, progress
        self._lock, self._running, self._stopped = threading.Lock(), set(), False

    def train(self, job: Job, end: int) -> None:
        """Do one Job of `end` updates and wait for it; raises its error. None is begun after `stop`."""
        log = self._log(job)
        log.parent.mkdir(parents=True, exist_ok=True)
        with open(log, "a", encoding="utf-8") as errors:
            before = errors.tell()
            with self._lock:
                if self._stopped:
                    return
                child = self._start(job, errors)
                self._running.add(child)
            try:
                self._follow(child, end)
                status = child.wait()
            finally:
                with self._lock:
                    self._running.discard(child)
                child.stdin.close()
                child.stdout.close()
        told = log.read_bytes()[before:].decode("utf-8", errors="replace").splitlines()
        print("".join(f"{line}\n" for line in told if line.startswith("warning:")), end="", flush=True)
        if status != 0 and not self._stopped:
            raise _error(job, told, log, status)

    def stop(self) -> None:
        """End all that run."""
        with self._lock:
            self._stopped = True
            for child in self._running:
                child.terminate()

    def _start(self, job: Job, errors: TextIO) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "hat.training.job"]
        alone = {name: value for name, value in os.environ.items() if name not in TORCHRUN}
        pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": errors}
        child = subprocess.Popen(command, env=alone, text=True, **pipes)
        described: dict[str, Any] = {"run": str(self._run.path), "options": asdict(self._options), "name": job.name}
        described |= {"architecture": job.architecture.to_dict(), "until": job.until}
        child.stdin.write(json.dumps(described) + "\n")
        child.stdin.flush()  # and left open: its end is the child's
        return child

    def _follow(self, child: subprocess.Popen[str], end: int) -> None:
        """Count the updates that the child tells; the first number is what was done before."""
        done = None
        for line in child.stdout:
            count = int(line)
            with self._lock:
                if done is None:
                    self._progress.skip(count)
                else:
                    self._progress.advance(count - done)
            done = count
        if done is None:
            with self._lock:
                self._progress.skip(end)

    def _log(self, job: Job) -> Path:
        return self._run.path / "logs" / f"train.{job.name}.log"


def _error(job: Job, told: Sequence[str], log: Path, status: int) -> HatError:
    """The error that a child ended with, by the lines it `told`, of its own kind; else how it ended."""
    kinds = {kind.exit_status: kind for kind in HatError.__subclasses__()}
    _, is_told, reason = (told[-1] if told else "").partition(": error: ")
    if not is_told:
        reason = f"it ended with status {status}; run the same command again to go on"
    return kinds.get(status, HatError)(f"training {job.name}: {reason} (log: {log})")
