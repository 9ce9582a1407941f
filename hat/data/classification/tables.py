"""Columns of tables, by name: tab-separated, comma-separated or JSON lines, plain or gzip.

Tab-separated: a header line, then rows without quotes, so that no text holds a tab or a line break. Comma-separated: a
header, then rows quoted as in RFC 4180. JSON lines: an object a line. Blank lines are passed over. Every value is text:
numbers and true, false in JSON lines are taken as they are written.
"""

import csv
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from hat.data.text import read_lines
from hat.deploy.text import valid_text
from hat.errors import DataError

JSON_WORDS = {True: "true", False: "false"}


def read_columns(path: Path | str, names: Sequence[str]) -> Iterator[tuple[int, list[str]]]:
    """Yield (line number, values): for each row the values (str) of the columns `names`.

    The file's suffix, before .gz, says what it is. Raises DataError, naming file and line, for a missing column, a row
    of another length than the header, or a value that is no text.
    """
    suffix = Path(Path(path).name.removesuffix(".gz")).suffix
    if suffix not in READERS:
        kinds = ", ".join(READERS)
        raise DataError(f"{path}: its name doesn't say what it is; name it {kinds}, or such with .gz at the end")
    return READERS[suffix](path, names)


def _tab_separated(path: Path | str, names: Sequence[str]) -> Iterator[tuple[int, list[str]]]:
    rows = enumerate((line.split("\t") for line in read_lines(path)), start=1)
    return _chosen(path, rows, names, "a text that holds a tab needs .csv or .jsonl")


def _comma_separated(path: Path | str, names: Sequence[str]) -> Iterator[tuple[int, list[str]]]:
    return _chosen(path, _csv_rows(path), names, "a text that holds a comma needs quotes around it")


def _csv_rows(path: Path | str) -> Iterator[tuple[int, list[str]]]:
    """Yield (number of a row's first line, fields)."""
    reader = csv.reader(read_lines(path, keepends=True), strict=True)
    before = 0
    try:
        for row in reader:
            yield before + 1, row
            before = reader.line_num
    except csv.Error as error:
        raise DataError(f"{path}, line {before + 1}: not comma-separated text ({error})") from None


def _chosen(
    path: Path | str, rows: Iterator[tuple[int, list[str]]], names: Sequence[str], remedy: str
) -> Iterator[tuple[int, list[str]]]:
    """Yield (line number, values of the columns `names`) of the rows, (line number, fields), after the header."""
    _, header = next(rows)
    places = [_place(path, header, name) for name in names]
    for number, fields in rows:
        if fields in ([], [""]):
            continue
        if len(fields) != len(header):
            lengths = f"{len(fields)} columns where the header has {len(header)}"
            raise DataError(f"{path}, line {number}: {lengths}; {remedy}")
        yield number, [fields[place] for place in places]


def _place(path: Path | str, header: list[str], name: str) -> int:
    if header.count(name) != 1:
        found = "twice or more" if name in header else "nowhere"
        raise DataError(f"{path}, line 1: column {name!r} is there {found}; the columns are {', '.join(header)}")
    return header.index(name)


def _json_lines(path: Path | str, names: Sequence[str]) -> Iterator[tuple[int, list[str]]]:
    for number, line in enumerate(read_lines(path), start=1):
        if not line.strip():
            continue
        where = f"{path}, line {number}"
        row = _json_object(line, where)
        missing = [name for name in names if name not in row]
        if missing:
            raise DataError(f"{where}: no column {missing[0]!r}; the columns are {', '.join(row)}")
        yield number, [_json_text(row[name], name, where) for name in names]


def _json_object(line: str, where: str) -> dict[str, Any]:
    try:
        row = json.loads(line, parse_int=str, parse_float=str)  # a number's text is kept as it is written
    except (ValueError, RecursionError):
        row = None
    if not isinstance(row, dict):
        raise DataError(f"{where}: not a JSON object; a line of .jsonl is one, with the columns as its keys")
    return row


def _json_text(value: Any, name: str, where: str) -> str:
    if isinstance(value, bool):
        return JSON_WORDS[value]
    if not isinstance(value, str) or "\0" in value:
        raise DataError(f"{where}: {name!r} is no text but {json.dumps(value)[:40]}")
    return valid_text(value)


READERS = {".tsv": _tab_separated, ".csv": _comma_separated, ".jsonl": _json_lines}
