"""Reading parallel text: what is accepted, and what is refused with file, line and reason."""

import gzip

import pytest

from hat.data.text import MAX_LINE_BYTES, normalise_spaces, read_lines, read_pairs
from hat.errors import DataError


def write(path, content):
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("eins\nzwei\n", ["eins", "zwei"]),
        ("ohne Zeilenende", ["ohne Zeilenende"]),
        ("\ufeffmit BOM\r\nWindows\r\n", ["mit BOM", "Windows"]),
        ("a\n\nc\n", ["a", "", "c"]),
        ("one\u2028line\n", ["one\u2028line"]),
    ],
)
def test_plain_and_gzip_text_read_alike(tmp_path, content, expected):
    plain = write(tmp_path / "text", content)
    packed = write(tmp_path / "text.without.suffix", gzip.compress(content.encode()))
    assert list(read_lines(plain)) == expected
    assert list(read_lines(packed)) == expected


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"gut\nM\xe4nner\n", r"line 2, byte 2: not UTF-8 \(0xe4\).*iconv"),
        (b"a\0b\n", "line 1: holds a NUL"),
        (b"x" * (MAX_LINE_BYTES + 1), "line 1: longer than"),
        (gzip.compress(b"some words\n" * 1000, mtime=0)[:-30], "damaged gzip"),
        (gzip.compress(b"", mtime=0), "is empty"),
    ],
)
def test_unusable_text_is_refused(tmp_path, content, message):
    with pytest.raises(DataError, match=message) as caught:
        list(read_lines(write(tmp_path / "bad.de", content)))
    assert str(tmp_path / "bad.de") in str(caught.value)


def test_missing_file_and_directory_are_refused(tmp_path):
    with pytest.raises(DataError, match="no such file"):
        list(read_lines(tmp_path / "absent"))
    with pytest.raises(DataError, match="is a directory"):
        list(read_lines(tmp_path))


@pytest.mark.parametrize(("source_lines", "target_lines"), [(3, 5), (5, 3), (3, 4), (4, 3)])
def test_misaligned_files_are_refused_with_both_counts(tmp_path, source_lines, target_lines):
    source = write(tmp_path / "a.de", "wort\n" * source_lines)
    target = write(tmp_path / "a.en", "word\n" * target_lines)
    with pytest.raises(DataError, match=rf"a\.de has {source_lines} lines, .*a\.en has {target_lines}"):
        list(read_pairs(source, target))


def test_normal_white_space_leaves_no_line_break():
    assert normalise_spaces("  a\tb\u2028c\x85d\u00a0 e \x1c ") == "a b c d e"
