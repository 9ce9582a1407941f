"""One training in a process of its own, as `parallel` starts it: `python -m hat.training.job`.

Standard input: one line of JSON, then nothing until the parent ends, and with it this process. Standard output: the
update come to, one number a line. Standard error, a log: everything else; an error as commands tell it, and its status.
"""

import functools
import json
import sys
from typing import Any, TextIO

from hat.cli.common import ArgumentParser, run_command
from hat.progress import Progress
from hat.training.lifeline import end_with_stdin
from hat.training.options import TrainingOptions


class _ToldProgress(Progress):
    """A Progress that also writes what is done to `stream`."""

    def __init__(self, stream: TextIO, description: str, total: int, unit: str, initial: int = 0) -> None:
        super().__init__(description, total, unit, initial)
        self._stream = stream
        self._tell()

    def advance(self, steps: int = 1, note: str = "") -> None:
        super().advance(steps, note)
        self._tell()

    def _tell(self) -> None:
        print(self._done, file=self._stream, flush=True)


def main() -> None:
    told, sys.stdout = sys.stdout, sys.stderr
    job = json.loads(sys.stdin.readline())
    end_with_stdin()
    run_command(ArgumentParser("Train one SubTransformer."), lambda _: _train(job, told), arguments=[])


def _train(job: dict[str, Any], told: TextIO) -> None:
    from hat.architecture.stacks import Architecture
    from hat.experiment.run_directory import RunDirectory
    from hat.training.sub import train_briefly, train_sub

    run, options = RunDirectory(job["run"]), TrainingOptions(**job["options"])
    architecture = Architecture.from_dict(job["architecture"], "job")
    progress = functools.partial(_ToldProgress, told)
    if job["until"] is None:
        train_sub(run, job["name"], architecture, options, progress)
    else:
        train_briefly(run, job["name"], architecture, job["until"], options, progress)


if __name__ == "__main__":
    main()
