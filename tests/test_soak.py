"""The soak of benchmarks/soak.py in small, and that it notices what it is for."""

import subprocess
import sys
from argparse import Namespace
from pathlib import Path

import pytest
from deployed import make_bundle

from benchmarks import soak

ROOT = Path(__file__).resolve().parents[1]
OPTIONS = {"sentences": 40, "seed": 2, "beam": None, "workers": 1, "window": 10, "all": True, "sample": 0}


class Lines:
    """Stands for a translator: a line's translation is the line in capitals, but for what `spoil` does to a stream."""

    def __init__(self, spoil=lambda lines: lines):
        self._spoil = spoil

    def translate(self, lines):
        return [" ".join(line.encode("utf-8", "replace").decode().upper().split()) for line in lines]

    def translate_stream(self, lines, window):
        yield from self._spoil(self.translate(lines))


def run(translator, monkeypatch):
    monkeypatch.setattr(soak, "Translator", lambda bundle, **options: translator)
    return soak.run(Namespace(bundle="", **OPTIONS), [])


def test_in_small(tmp_path):
    bundle = make_bundle(tmp_path / "bundle")
    command = [sys.executable, ROOT / "benchmarks" / "soak.py", bundle, "--sentences", "150", "--window", "40"]
    result = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert result.returncode == 0, result.stdout + result.stderr
    assert "lines: 150 in, 150 out" in result.stdout
    assert "alone: 150 lines translated by themselves, 0 otherwise" in result.stdout


@pytest.mark.parametrize(
    ("spoil", "complaint"),
    [
        (lambda lines: lines[:-1], "LOST or added lines"),
        (lambda lines: [*lines, ""], "LOST or added lines"),
        (lambda lines: lines[::-1], "otherwise than in the stream"),
        (lambda lines: [*lines[:5], "else", *lines[6:]], "1 otherwise than in the stream"),
    ],
)
def test_what_is_wrong_is_noticed(monkeypatch, capsys, spoil, complaint):
    assert run(Lines(), monkeypatch)
    assert "0 otherwise than in the stream" in capsys.readouterr().out
    assert not run(Lines(spoil), monkeypatch)
    assert complaint in capsys.readouterr().out


def test_memory():
    assert soak.is_flat([50, 90, 100, 101, 99, 100, 102, 100])
    assert not soak.is_flat([50, 90, 100, 105, 110, 115, 120, 125])


def test_lines_are_of_all_kinds_and_the_same_again():
    lines = list(soak.sentences(3000, 1, []))
    assert lines == list(soak.sentences(3000, 1, []))
    words = [len(line.split()) for line in lines if len(line) < soak.LONG_LINE]
    assert min(words) == 0
    assert max(words) in range(150, 201)
    assert sum(len(line) == soak.LONG_LINE for line in lines) > 2
    assert any("😀" in line for line in lines)
    assert any("Привет" in line for line in lines)
