"""What preparing has in common, whatever the task: done once, built beside its place, gone on with after a kill."""

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from hat import files
from hat.data import source_files
from hat.data.stages import Stages
from hat.errors import ArtifactError, HatError
from hat.experiment.run_directory import RUNS, RunDirectory, is_current, mark_done

REMEDY = "run hat-prepare"
DESCRIPTION = "data.json"
# The first two say, beside what the others show, what they were made from; a killed run may have left the third.
NO_OUTPUTS = (DESCRIPTION, source_files.RECORD, "done.json")


def prepare_once(
    run: RunDirectory,
    source_directory: Path | str | None,
    open_text: Callable[..., Any],
    build: Callable[[RunDirectory, Stages, Any], dict[str, Any]],
    more_inputs: dict[str, Any] | None = None,
    more_files: dict[str, Path] | None = None,
) -> None:
    """Prepare the data of a RunDirectory into `run.data`; nothing is done if it is there and its inputs are the same.

    open_text(config.data, seed, source_directory, download_directory) gives an object with `files`, {name: path} of
    what is read; build(run, stages, text) makes the data in `stages.data` and returns their description. `more_inputs`
    (a mapping) and `more_files` {name: path} are what the data depend on beside the text. All is built in a folder
    beside `run.data` that takes its place when complete; killed and run again, it goes on after the last finished
    stage. Raises UsageError, DataError or ArtifactError, and leaves nothing then.
    """
    building, more_inputs, more_files = run.path / "data.building", more_inputs or {}, more_files or {}
    if _is_up_to_date(run, source_directory, more_inputs, more_files):
        shutil.rmtree(building, ignore_errors=True)
        print(f"data is up to date: {run.data}")
        return
    print(f"reading the text ({run.config.data.corpus}) ...", flush=True)
    downloads = RUNS / "downloads" / run.config.data.corpus
    text = open_text(run.config.data, run.config.seed, source_directory, downloads)
    hashes, seen = source_files.digests({**text.files, **more_files}, building / "data")
    inputs = _stage_inputs(run, hashes, more_inputs)
    try:
        stages = Stages(building, inputs)
        files.write_json(stages.data / source_files.RECORD, seen)
        description = build(run, stages, text)
        _finish(stages.data, {**description, "inputs": hashes}, inputs)
    except HatError:
        shutil.rmtree(building, ignore_errors=True)
        raise
    shutil.rmtree(run.data, ignore_errors=True)
    stages.data.rename(run.data)
    shutil.rmtree(building)
    print(f"prepared data: {run.data}\nnext: hat-train-super --run {run.path}")


def _stage_inputs(run: RunDirectory, hashes: dict[str, str], more_inputs: dict[str, Any]) -> dict[str, Any]:
    return {**run.sections("data", "seed"), **more_inputs, "files": hashes}


def _is_up_to_date(
    run: RunDirectory, source_directory: Path | str | None, more_inputs: dict[str, Any], more_files: Mapping[str, Path]
) -> bool:
    """Whether the stage finished with these inputs, and the files it read haven't changed where they still exist."""
    try:
        hashes = files.read_json(run.data / DESCRIPTION, "")["inputs"]
    except (ArtifactError, KeyError, TypeError):
        return False
    if not is_current(run.data, _stage_inputs(run, hashes, more_inputs)):
        return False
    places = {}
    if source_directory is not None or run.config.data.corpus == source_files.FILES:
        places = {name: Path(source_directory or "") / name for name in hashes}
    present = {name: path for name, path in {**places, **more_files}.items() if path.exists()}
    return source_files.digests(present, run.data)[0] == {name: hashes.get(name) for name in present}


def _finish(data: Path, description: dict[str, Any], inputs: dict[str, Any]) -> None:
    files.write_json(data / DESCRIPTION, description)
    outputs = [path for path in data.rglob("*") if path.is_file() and path.name not in NO_OUTPUTS]
    mark_done(data, inputs, [str(path.relative_to(data)) for path in outputs])


def read_description(directory: Path | str) -> dict[str, Any]:
    """What data.json in a folder of prepared data says; raises ArtifactError unless the preparation finished."""
    directory = Path(directory)
    if not (directory / "done.json").exists():
        raise ArtifactError(f"{directory} holds no prepared data; {REMEDY}")
    return files.read_json(directory / DESCRIPTION, REMEDY)


def existing_output(directory: Path, name: str) -> Path:
    """The path of a file that the preparation left in `directory`; raises ArtifactError if it is gone."""
    path = directory / name
    if not path.exists():
        raise ArtifactError(f"{path} is missing; {REMEDY}")
    return path


def foreign_description(directory: Path | str) -> ArtifactError:
    """The ArtifactError to raise if data.json isn't what the task writes."""
    return ArtifactError(f"{Path(directory) / DESCRIPTION} is not what hat-prepare writes; remove it and {REMEDY}")
