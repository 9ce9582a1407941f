"""HTTP downloads that go on where they stopped, with progress and checksum."""

import os
import urllib.error
import urllib.request
from pathlib import Path

from hat import files
from hat.errors import DataError
from hat.progress import Progress

TIMEOUT_SECONDS = 60
BLOCK_BYTES = 1 << 20
MEGABYTE = 1e6


def download(url, directory, sha256=None):
    """Fetch `url` into `directory` under its own name and return the path; nothing is done if it is there already.

    An interrupted download stays as NAME.part and is continued by the next call. Raises DataError if the server
    can't be reached or says no, the connection breaks, or the content has another SHA-256 than `sha256`.
    """
    path = Path(directory) / url.rsplit("/", 1)[1]
    if path.exists():
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".part")
    try:
        _fetch(url, partial)
    except (urllib.error.URLError, ConnectionError, TimeoutError, EOFError) as error:
        raise DataError(
            f"{url}: download failed ({_reason(error)}); run again to go on, or fetch the corpus elsewhere "
            "and name its folder with --from DIR"
        ) from None
    _check(url, partial, sha256)
    os.replace(partial, path)
    return path


def _reason(error):
    reason = getattr(error, "reason", None) or error
    return f"{error.code} {reason}" if isinstance(error, urllib.error.HTTPError) else reason


def _fetch(url, partial):
    """Append to `partial` what is still missing of `url`; EOFError if the connection ends too early."""
    done = partial.stat().st_size if partial.exists() else 0
    request = urllib.request.Request(url, headers={"Range": f"bytes={done}-"} if done else {})
    try:
        response = urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS)
    except urllib.error.HTTPError as error:
        if error.code == 416 and done:  # nothing is missing; the checksum decides whether it is right
            return
        raise
    with response:
        if response.status != 206:  # the server sends it all
            done = 0
        total = done + int(response.headers.get("Content-Length") or 0)
        _copy(response, partial, done, total)
        received = partial.stat().st_size
    if received < total:
        raise EOFError(f"connection closed after {received} of {total} bytes")


def _copy(response, partial, done, total):
    name = partial.name.removesuffix(".part")
    progress = Progress(f"download {name}", round(total / MEGABYTE, 1), "MB", initial=round(done / MEGABYTE, 1))
    with progress, open(partial, "ab" if done else "wb") as handle:
        while block := response.read(BLOCK_BYTES):
            handle.write(block)
            progress.advance(len(block) / MEGABYTE)
        handle.flush()
        os.fsync(handle.fileno())


def _check(url, partial, sha256):
    if sha256 is None:
        return
    actual = files.sha256_of_file(partial)
    if actual != sha256:
        partial.unlink()
        raise DataError(
            f"{url}: SHA-256 is {actual} instead of {sha256}; the download was removed, run again, "
            "or name a folder with the right file by --from DIR"
        )
