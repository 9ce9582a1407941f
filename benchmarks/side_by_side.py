"""Commands run two at a time, one thread each: what they say goes to logs, how long they took to a file."""

import os
import subprocess
import time
from pathlib import Path

from hat import files
from hat.errors import HatError

AT_ONCE = 2
TIMES = "times.jsonl"  # a line for each command that ended: its job, seconds and status


class CommandFailedError(HatError):
    """Has the command's own exit status, and its last line."""

    def __init__(self, command, status, log):
        said = [line for line in log.read_text(encoding="utf-8").splitlines() if line.strip()] or ["it said nothing"]
        super().__init__(f"{Path(command[0]).name} ended with status {status}: {said[-1]} (see {log})")
        self.exit_status = max(status, 1)  # negative: a signal's


class _Running:
    """A command that was started for a job; its log is `logs/JOB.log` in the folder."""

    def __init__(self, folder, job, command):
        self._folder, self._job, self._command = folder, job, command
        self._log, self._began = folder / "logs" / f"{job}.log", time.monotonic()
        self._log.parent.mkdir(exist_ok=True)
        print(f"{Path(command[0]).name}: {job} (see {self._log})", flush=True)
        with open(self._log, "w", encoding="utf-8") as log:
            environment = {**os.environ, "OMP_NUM_THREADS": "1"}
            pipes = {"stdin": subprocess.DEVNULL, "stdout": log, "stderr": subprocess.STDOUT}
            self._process = subprocess.Popen(command, env=environment, **pipes)

    def has_ended(self):
        return self._process.poll() is not None

    def check(self):
        """Raises CommandFailedError if the ended command failed."""
        if status := self._record():
            raise CommandFailedError(self._command, status, self._log)

    def stop(self):
        self._process.terminate()
        self._record()

    def _record(self):
        """Wait for the end, and keep how long it took; returns the status."""
        status, seconds = self._process.wait(), round(time.monotonic() - self._began, 1)
        files.append_json_line(self._folder / TIMES, {"job": self._job, "seconds": seconds, "status": status})
        return status


def run_side_by_side(folder, commands):
    """Run commands {job: words}, in their order, AT_ONCE at a time; when one fails, the others are stopped."""
    waiting, running = list(commands.items()), []
    try:
        while waiting or running:
            while waiting and len(running) < AT_ONCE:
                running.append(_Running(folder, *waiting.pop(0)))
            time.sleep(0.1)
            for each in [each for each in running if each.has_ended()]:
                running.remove(each)
                each.check()
    finally:
        for each in running:
            each.stop()


def seconds_of(folder):
    """{job: seconds that its commands took in all, also those that failed or were stopped}"""
    found = {}
    for line in files.read_json_lines(folder / TIMES):
        found[line["job"]] = found.get(line["job"], 0) + line["seconds"]
    return found
