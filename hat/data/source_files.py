"""The files that a preparation reads: found, plain or gzip, and their digests, each worked out once."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hat import files
from hat.data.text import existing_file
from hat.errors import DataError, UsageError

RECORD = "files.json"
FILES = "files"  # the corpus that is the config's own files
SPLITS = ("train", "valid", "test")


def digests(paths: Mapping[str, Path], directory: Path) -> tuple[dict[str, str], dict[str, Any]]:
    """{name: SHA-256} of the files in `paths`, {name: path}.

    A file is read only if its size or time of change isn't what `files.json` in `directory` (if there is one) says;
    returns the digests and what such a record would say now, {name: {"sha256", "bytes", "modified_ns"}}.
    Raises DataError if a file is missing.
    """
    record = directory / RECORD
    known = files.read_json(record, "remove it and run again") if record.exists() else {}
    seen = {name: _seen(path, known.get(name)) for name, path in paths.items()}
    return {name: each["sha256"] for name, each in seen.items()}, seen


def _seen(path: Path, known: dict[str, Any] | None) -> dict[str, Any]:
    state = existing_file(path).stat()
    now = {"bytes": state.st_size, "modified_ns": state.st_mtime_ns}
    if known and known == {"sha256": known["sha256"], **now}:
        return known
    return {"sha256": files.sha256_of_file(path), **now}


def find(directory: Path, name: str) -> Path | None:
    """The file called `name` below `directory` (or its last part directly in it), plain or .gz; None if absent."""
    for candidate in (name, Path(name).name):
        for path in (directory / candidate, directory / f"{candidate}.gz", directory / candidate.removesuffix(".gz")):
            if path.is_file():
                return path
    return None


def find_splits(
    corpus: str, names: Mapping[str, str], content: str, directory: Path | str | None
) -> tuple[dict[str, Path], dict[str, Path]]:
    """({split: path}, {its name: path}) of a named corpus that isn't downloaded, whose splits have these file `names`.

    `content` says to the user what is to be put into a folder. Raises UsageError without a folder, DataError for one
    that lacks a file.
    """
    if directory is None:
        raise UsageError(f"corpus {corpus} is not downloaded: put {content} into a folder and name it with --from DIR")
    found = {split: path for split, name in names.items() if (path := find(Path(directory), name))}
    if len(found) < len(names):
        raise DataError(f"--from {directory}: not all of {corpus} is there; put {content} into that folder")
    return found, {str(path.relative_to(directory)): path for path in found.values()}


def refuse_source(corpus: str, directory: Path | str | None) -> None:
    """Raise UsageError for a folder to read a generated corpus from."""
    if directory is not None:
        raise UsageError(f"--from {directory}: corpus {corpus} is generated, it reads no files")
