"""One training in a process of its own, as `parallel` starts it: `python -m hat.training.job`.

Standard input: one line of JSON, then nothing until the parent ends, and with it this process. Standard output: the
update come to, one number a line. Standard error, a log: everything else; an error as commands tell it, and its status.
"""

import functools
import json
import os
import sys
import threading

from hat.cli.common import ArgumentParser, run_command
from hat.progress import Progress
from hat.training.options import TrainingOptions


class _ToldProgress(Progress):
    """A Progress that also writes what is done to `stream`."""

    def __init__(self, stream, description, total, unit, initial=0):
        super().__init__(description, total, unit, initial)
        self._stream = stream
        self._tell()

    def advance(self, steps=1, note=""):
        super().advance(steps, note)
        self._tell()

    def _tell(self):
        print(self._done, file=self._stream, flush=True)


def main():
    told, sys.stdout = sys.stdout, sys.stderr
    job = json.loads(sys.stdin.readline())
    threading.Thread(target=_end_with_the_parent, daemon=True).start()
    run_command(ArgumentParser("Train one SubTransformer."), lambda _: _train(job, told), arguments=[])


def _end_with_the_parent():
    os.read(sys.stdin.fileno(), 1)  # not through sys.stdin, which the interpreter's own end would wait for
    os._exit(1)  # all that counts is in files that are replaced in one step


def _train(job, told):
    from hat.architecture import Architecture
    from hat.run_directory import RunDirectory
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
