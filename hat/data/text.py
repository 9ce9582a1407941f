"""Reading parallel text: plain or gzip, strict UTF-8, one sentence a line, both sides equally long."""

import contextlib
import gzip
import io
import itertools
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hat.data.archives import Member
from hat.errors import DataError

GZIP_MAGIC = b"\x1f\x8b"
MAX_LINE_BYTES = 1_000_000
MISSING: Any = object()


@contextlib.contextmanager
def open_bytes(path: Path | str | Member) -> Iterator[io.BufferedIOBase]:
    """Open a file or Member, plain or gzip (told apart by content), for reading bytes; DataError if missing."""
    with path.open() if isinstance(path, Member) else open(existing_file(path), "rb") as handle:
        if handle.peek(2)[:2] == GZIP_MAGIC:
            with gzip.open(handle) as unpacked:
                yield unpacked
        else:
            yield handle


def existing_file(path: Path | str) -> Path:
    """The Path of a file; DataError if it is missing or a directory."""
    path = Path(path)
    if not path.exists():
        raise DataError(f"{path}: no such file; check the data paths")
    if path.is_dir():
        raise DataError(f"{path} is a directory; name a text file (plain or .gz) in it")
    return path


def read_lines(path: Path | str | Member, keepends: bool = False) -> Iterator[str]:
    """Yield the lines of a text file or Member of an archive without any byte-order mark, and without their line ends.

    Only a line feed ends a line; with `keepends` the lines have theirs. Raises DataError, naming file and line, for a
    missing, empty or damaged file, a line that is not UTF-8, holds a NUL character or is longer than 1 MB.
    """
    number = 0
    with open_bytes(path) as handle:
        try:
            while line := handle.readline(MAX_LINE_BYTES + 1):
                number += 1
                text = _decoded(line, path, number)
                yield text if keepends else text.rstrip("\r\n")
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise DataError(f"{path}, after line {number}: damaged gzip file ({error}); fetch it again") from None
    if number == 0:
        raise DataError(f"{path} is empty; it needs one sentence a line")


def _decoded(line: bytes, path: Path | str | Member, number: int) -> str:
    if len(line) > MAX_LINE_BYTES:
        raise DataError(f"{path}, line {number}: longer than {MAX_LINE_BYTES} bytes; split it into one sentence a line")
    try:
        text = line.decode("utf-8")
    except UnicodeDecodeError as error:
        byte = line[error.start]
        raise DataError(
            f"{path}, line {number}, byte {error.start + 1}: not UTF-8 (0x{byte:02x}); "
            "convert the file, for example with `iconv -f latin1 -t utf-8`"
        ) from None
    if "\0" in text:
        raise DataError(f"{path}, line {number}: holds a NUL character; is it a text file?")
    return text.removeprefix("\ufeff") if number == 1 else text


def read_pairs(source_path: Path | str, target_path: Path | str) -> Iterator[tuple[str, str]]:
    """Yield (source, target) lines of two text files; DataError, with both line counts, if they are misaligned."""
    return paired(read_lines(source_path), read_lines(target_path), source_path, target_path)


def paired(
    sources: Iterator[str], targets: Iterator[str], source_name: Any, target_name: Any
) -> Iterator[tuple[str, str]]:
    """Yield pairs of two line iterators; DataError, with both counts, if one ends before the other."""
    for before, (source, target) in enumerate(itertools.zip_longest(sources, targets, fillvalue=MISSING)):
        if source is MISSING or target is MISSING:
            longer = before + 1 + sum(1 for _ in (targets if source is MISSING else sources))
            lengths = (before, longer) if source is MISSING else (longer, before)
            raise DataError(
                f"misaligned: {source_name} has {lengths[0]} lines, {target_name} has {lengths[1]}; "
                "line n of one must be the translation of line n of the other"
            )
        yield source, target


def normalise_spaces(line: str) -> str:
    """The line with each run of (Unicode) white space as one blank, none at its ends: no line break survives."""
    return " ".join(line.split())
