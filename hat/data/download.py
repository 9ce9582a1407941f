"""HTTP downloads that go on where they stopped, with progress and checksum."""

import http.client
import os
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from hat import files
from hat.errors import DataError
from hat.progress import Progress

TIMEOUT_SECONDS = 60
BLOCK_BYTES = 1_000_000


def download(url: str, directory: Path | str, sha256: str | None = None) -> Path:
    """Fetch `url` into `directory` under its own name and return the path; nothing is done if it is there already.

    An interrupted download stays as NAME.part and is continued by the next call. Raises DataError if the server
    can't be reached or says no, the connection breaks, or the content has another SHA-256 than `sha256`.
    """
    path = Path(directory) / url.rsplit("/", 1)[1]
    if path.exists():
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".part")
    _fetch(url, partial)
    if sha256 is not None and (actual := files.sha256_of_file(partial)) != sha256:
        partial.unlink()
        raise DataError(
            f"{url}: SHA-256 is {actual} instead of {sha256}; the download was removed: run again, "
            "or name a folder that holds the right file with --from DIR"
        )
    os.replace(partial, path)
    return path


def _failed(url: str, reason: Any) -> DataError:
    remedy = "run again to go on, or fetch the files elsewhere and name their folder with --from DIR"
    return DataError(f"{url}: download failed ({reason}); {remedy}")


def _fetch(url: str, partial: Path) -> None:
    """Append to `partial` what is still missing of `url`; DataError if not all of it came."""
    done = partial.stat().st_size if partial.exists() else 0
    try:
        request = urllib.request.Request(url, headers={"Range": f"bytes={done}-"} if done else {})
        response = urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS)
    except urllib.error.HTTPError as error:
        if error.code != http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            raise _failed(url, f"{error.code} {error.reason}") from None
        if error.headers.get("Content-Range") == f"bytes */{done}":
            return  # it had all come
        partial.unlink()
        return _fetch(url, partial)
    except (OSError, http.client.HTTPException) as error:
        raise _failed(url, getattr(error, "reason", error)) from None
    with response:
        if response.status != http.HTTPStatus.PARTIAL_CONTENT:
            done = 0  # the server sends it all
        total = done + int(response.headers.get("Content-Length") or 0)
        received = _copy(url, response, partial, done, total)
    if received < total:
        raise _failed(url, f"connection closed after {received} of {total} bytes")


def _copy(url: str, response: http.client.HTTPResponse, partial: Path, done: int, total: int) -> int:
    """Append the response to the first `done` bytes of `partial`; returns the file's size then."""
    name = partial.name.removesuffix(".part")
    progress = Progress(f"download {name}", -(-total // BLOCK_BYTES), "MB", initial=done // BLOCK_BYTES)
    with progress, open(partial, "ab" if done else "wb") as handle:
        while block := _read(url, response):
            handle.write(block)
            progress.advance()
        handle.flush()
        os.fsync(handle.fileno())
        return handle.tell()


def _read(url: str, response: http.client.HTTPResponse) -> bytes:
    try:
        return response.read(BLOCK_BYTES)
    except (OSError, http.client.HTTPException) as error:
        raise _failed(url, error) from None
