"""Tables by named columns: any text comes back as it was written, and what is refused with file and line."""

import csv
import gzip
import io
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hat.data.classification.tables import read_columns
from hat.errors import DataError

CELL = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=12)
ONE_LINE = st.text(st.characters(codec="utf-8", exclude_characters="\0\t\n\r"), max_size=12)


def as_csv(names, rows):
    output = io.StringIO(newline="")
    csv.writer(output).writerows([names, *rows])
    return output.getvalue()


def as_tsv(names, rows):
    return "".join("\t".join(row) + "\n" for row in [names, *rows])


def as_jsonl(names, rows):
    return "".join(json.dumps(dict(zip(names, row, strict=True)), ensure_ascii=False) + "\n" for row in rows)


@pytest.mark.parametrize(
    ("suffix", "write", "cell"), [("csv", as_csv, CELL), ("tsv", as_tsv, ONE_LINE), ("jsonl", as_jsonl, CELL)]
)
def test_any_text_comes_back(tmp_path, suffix, write, cell):
    path = tmp_path / f"table.{suffix}.gz"

    @settings(max_examples=100, deadline=None)
    @given(rows=st.lists(st.tuples(cell, cell, cell), min_size=1, max_size=5))
    def check(rows):
        path.write_bytes(gzip.compress(write(["label", "text", "other"], rows).encode()))
        assert [values for _, values in read_columns(path, ["text", "label"])] == [[row[1], row[0]] for row in rows]

    check()


def test_lines_are_counted_through_line_breaks_and_blank_lines(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text('text,label\r\n"two\nlines",a\r\n\r\nlast,b\r\n', newline="")
    assert list(read_columns(path, ["label", "text"])) == [(2, ["a", "two\nlines"]), (5, ["b", "last"])]


def test_quotes_are_text_in_tab_separated_files(tmp_path):
    path = tmp_path / "table.tsv"
    path.write_text('label\ttext\n1\t"so-called\n0\tfine\n')
    assert [values for _, values in read_columns(path, ["text", "label"])] == [['"so-called', "1"], ["fine", "0"]]


def test_numbers_in_json_lines_are_taken_as_written(tmp_path):
    path = tmp_path / "table.jsonl"
    path.write_text('{"label": 1.0, "text": 5}\n{"label": true, "text": "a"}\n{"label": 1e3, "text": "\\ud800"}\n')
    values = [values for _, values in read_columns(path, ["label", "text"])]
    assert values == [["1.0", "5"], ["true", "a"], ["1e3", "\ufffd"]]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        (
            "t.tsv",
            b"sentence\tlabel\na\t1\n",
            r"t\.tsv, line 1: column 'text' is there nowhere; .* sentence, label",
        ),
        ("t.csv", b"text,text,label\n", r"t\.csv, line 1: column 'text' is there twice"),
        ("t.tsv", b"text\tlabel\na\tb\tc\n", r"t\.tsv, line 2: 3 columns where the header has 2"),
        ("t.csv", b"text,label\na,b\na, b, c\n", r"t\.csv, line 3: 3 columns where the header has 2"),
        ("t.csv", b'text,label\na,b\n"a,b\n', r"t\.csv, line 3: not comma-separated text"),
        ("t.jsonl", b'{"text": "a", "label": 1}\n{"text": "a"}\n', r"t\.jsonl, line 2: no column 'label'"),
        ("t.jsonl", b'{"text": "a", "label"\n', r"t\.jsonl, line 1: not a JSON object"),
        ("t.jsonl", b'["a", "b"]\n', r"t\.jsonl, line 1: not a JSON object"),
        ("t.jsonl", b"[" * 100_000 + b"\n", r"t\.jsonl, line 1: not a JSON object"),
        ("t.jsonl", b'{"text": null, "label": 1}\n', r"t\.jsonl, line 1: 'text' is no text but null"),
        ("t.jsonl", b'{"text": "a\\u0000", "label": 1}\n', r"t\.jsonl, line 1: 'text' is no text"),
        ("t.tsv", b"text\tlabel\nna\xefve\t1\n", r"t\.tsv, line 2, byte 3: not UTF-8"),
        ("t.tsv", b"", r"t\.tsv is empty"),
        ("t.txt", b"text\tlabel\n", r"t\.txt: its name doesn't say what it is; name it \.tsv, \.csv, \.jsonl"),
    ],
)
def test_unusable_tables_are_refused(tmp_path, name, content, message):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(DataError, match=message):
        list(read_columns(path, ["text", "label"]))


def test_a_missing_file(tmp_path):
    with pytest.raises(DataError, match=r"absent\.tsv: no such file"):
        list(read_columns(tmp_path / "absent.tsv", ["text"]))
