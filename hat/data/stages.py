"""The stages of a preparation: a killed one goes on after the last that it finished."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hat import files

REMEDY = "remove its folder and run again"


class Stages:
    """What is finished of the work in the folder `directory`, recorded in its `stages.json`.

    Work of other `inputs` (a JSON-like value) and files that a kill left half-written are swept away. The folder `data`
    in it is for results, the others are gone with it.
    """

    def __init__(self, directory: Path, inputs: Any) -> None:
        self.directory, self.data = directory, directory / "data"
        self._record = directory / "stages.json"
        fingerprint = files.fingerprint(inputs)
        kept = files.read_json(self._record, REMEDY) if self._record.exists() else {}
        if kept.get("inputs") != fingerprint:
            shutil.rmtree(directory, ignore_errors=True)
            kept = {"inputs": fingerprint, "finished": {}}
        self._kept = kept
        self.data.mkdir(parents=True, exist_ok=True)
        for leftover in directory.rglob(".*.tmp"):
            leftover.unlink()

    def once(self, name: str, function: Callable[[], Any]) -> Any:
        """The JSON-like value of `function()`, which isn't called if it is that of a finished stage."""
        finished = self._kept["finished"]
        if name not in finished:
            finished[name] = function()
            files.write_json(self._record, self._kept)
        return finished[name]
