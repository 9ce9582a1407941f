"""Files that survive a kill at any moment: atomic replacement, durable appends, strict reads."""

import contextlib
import fcntl
import hashlib
import json
import os
import secrets
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import yaml

from hat.errors import ArtifactError, InUseError


def temporary_beside(path: Path) -> Path:
    """A path beside `path` that no other process has, on any machine or container that shares the disk."""
    return path.with_name(f".{path.name}.{secrets.token_hex(8)}.tmp")


@contextlib.contextmanager
def replacing(path: Path | str) -> Iterator[Path]:
    """Yield a temporary path beside `path`; on success fsync it and rename it over `path`."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = temporary_beside(path)
    try:
        yield temporary
        with open(temporary, "rb") as handle:
            os.fsync(handle.fileno())
        os.replace(temporary, path)
    except OSError as error:
        error.filename = error.filename or str(path)  # a full disk is told without a name
        raise
    finally:
        temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def locked(path: Path | str) -> Iterator[None]:
    """Keep other processes out of the block with the same `path`; they wait. A process that dies lets go of it."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "a") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


@contextlib.contextmanager
def held(path: Path | str, place: Path | str) -> Iterator[None]:
    """Keep other processes out of the block with the same `path`, a file that says who is in it.

    Raises InUseError, which names who works in `place`, if one is. A process that dies lets go of it. On other
    machines it keeps out those whose file system shares such locks, as NFS does.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "a+", encoding="utf-8") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            handle.seek(0)
            who = handle.read() or "another command"
            raise InUseError(
                f"{who} works in {place}; wait for its end, or name another directory with --run"
            ) from None
        handle.truncate(0)
        handle.write(f"{Path(sys.argv[0]).name} (process {os.getpid()} on {socket.gethostname()})")
        handle.flush()
        yield


def write_text(path: Path | str, text: str) -> None:
    """Replace the file at `path` by `text` (UTF-8) in one step."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_bytes(path: Path | str, content: bytes) -> None:
    """Replace the file at `path` by these bytes in one step."""
    with replacing(path) as temporary:
        temporary.write_bytes(content)


def write_json(path: Path | str, value: Any) -> None:
    """Replace the file at `path` by `value` as indented JSON in one step."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def write_yaml(path: Path | str, value: Any) -> None:
    """Replace the file at `path` by `value` as YAML in one step, keys in their given order."""
    write_text(path, yaml.safe_dump(value, sort_keys=False, allow_unicode=True, default_flow_style=None))


def read_json(path: Path | str, remedy: str) -> Any:
    """Read a JSON file; raise ArtifactError, ending with `remedy`, if it is missing or damaged."""
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ArtifactError(f"{path} is missing; {remedy}") from None
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ArtifactError(f"{path} is not valid JSON ({error}); {remedy}") from None


def append_json_line(path: Path | str, value: Any) -> None:
    """Append one JSON line and force it to disk, mending a line that a kill cut short."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "a+b") as handle:
        if handle.tell() > 0:
            handle.seek(-1, os.SEEK_END)
            if handle.read(1) != b"\n":
                _drop_last_line(handle)
        handle.write(json.dumps(value, ensure_ascii=False).encode() + b"\n")
        handle.flush()
        os.fsync(handle.fileno())


def _drop_last_line(handle: BinaryIO) -> None:
    handle.seek(0)
    complete = handle.read().rfind(b"\n") + 1
    handle.truncate(complete)
    handle.seek(0, os.SEEK_END)


def read_json_lines(path: Path | str) -> list[Any]:
    """All complete JSON lines of a file ([] if it doesn't exist); an unfinished last line is left out.

    Raises ArtifactError, naming the line, if a complete line is damaged.
    """
    path = Path(path)
    if not path.exists():
        return []
    content = path.read_bytes()
    rows = []
    for number, line in enumerate(content[: content.rfind(b"\n") + 1].splitlines(), start=1):
        try:
            rows.append(json.loads(line))
        except ValueError:
            raise ArtifactError(f"{path}, line {number}: not valid JSON; remove that line and run again") from None
    return rows


def sha256_of_file(path: Path | str) -> str:
    """Hexadecimal SHA-256 of a file's content."""
    with open(path, "rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def fingerprint(value: Any) -> str:
    """Hexadecimal SHA-256 of a JSON-like value, the same for equal values."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()
