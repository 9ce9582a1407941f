"""hat-translate as a user runs it, on bundles with random weights: its options, files, and every bad input."""

import ast
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from deployed import SENTENCES, blocking_imports, make_bundle

from hat import Translator

ROOT = Path(__file__).resolve().parents[3]
ALLOWED = ("numpy", "onnxruntime", "sentencepiece", "hat")


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return make_bundle(tmp_path_factory.mktemp("bundles") / "fp32")


@pytest.fixture(scope="module")
def translations(bundle):
    return Translator(bundle).translate(SENTENCES)


def hat_translate(*arguments, text=b"", python=sys.executable, **options):
    command = [python, "-m", "hat.cli.translate", *map(str, arguments)]
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
    return subprocess.run(command, input=text, cwd=ROOT, check=False, timeout=300, **streams)


def assert_fails(result, status, message):
    """One line that holds `message`, and the exit status."""
    text = result.stderr.decode()
    assert (result.returncode, text.count("\n")) == (status, 1), text
    assert message in text


def encoded(lines):
    return "".join(line + "\n" for line in lines).encode()


def test_command_equals_class(bundle, translations):
    text = "\r\n".join([SENTENCES[0], "", *SENTENCES[1:]])  # Windows line ends, no end of line at the end
    result = hat_translate(bundle, "--threads", 1, "--batch", 50, text=text.encode("utf-8-sig"))
    assert result.stderr == b""
    assert result.stdout == encoded([translations[0], "", *translations[1:]])
    assert hat_translate(bundle).stdout == b""


def test_search_options_reach_the_search(bundle, translations):
    arguments = ["--beam", 2, "--lenpen", 0.3, "--min-len", 3, "--max-len-a", 0.5, "--max-len-b", 4]
    arguments += ["--no-repeat-ngram", 2, "--unk-penalty", 5]
    options = {"beam": 2, "lenpen": 0.3, "min_len": 3, "max_len_a": 0.5, "max_len_b": 4}
    expected = Translator(bundle, **options, no_repeat_ngram=2, unk_penalty=5.0).translate(SENTENCES)
    result = hat_translate(bundle, *arguments, text=encoded(SENTENCES))
    assert result.stdout == encoded(expected), result.stderr
    assert expected != translations


def test_nbest_has_number_score_and_text(bundle):
    lines = [SENTENCES[0], "", SENTENCES[1]]
    result = hat_translate(bundle, "--nbest", 2, text=encoded(lines))
    rows = [line.split("\t") for line in result.stdout.decode().split("\n")[:-1]]
    expected = Translator(bundle).translate_nbest(lines, 2)
    assert [row[0] for row in rows] == ["1", "1", "2", "2", "3", "3"]
    assert [row[2] for row in rows] == [text for nbest in expected for text, _ in nbest]
    scores = [score for nbest in expected for _, score in nbest]
    assert [float(row[1]) for row in rows] == pytest.approx(scores, abs=1e-3)


def test_prefixes_from_a_file(bundle, tmp_path):
    prefixes = ["The old", "", "A", "", "She"]
    (tmp_path / "prefixes").write_bytes(encoded(prefixes))
    result = hat_translate(bundle, "--prefix", tmp_path / "prefixes", text=encoded(SENTENCES))
    assert result.stdout == encoded(Translator(bundle).translate(SENTENCES, prefixes))
    result = hat_translate(bundle, "--prefix", tmp_path / "prefixes", text=encoded(SENTENCES[:3]))
    assert_fails(result, 3, "only 3 sentences for more prefixes")
    result = hat_translate(bundle, "--prefix", tmp_path / "prefixes", text=encoded(SENTENCES * 2))
    assert_fails(result, 3, "only 5 prefixes for more sentences")
    assert result.stdout.count(b"\n") == 5  # those before it aren't lost


def test_files(bundle, tmp_path, translations):
    (tmp_path / "in").write_bytes(encoded(SENTENCES))
    (tmp_path / "out").write_text("old")
    result = hat_translate(bundle, "--input", tmp_path / "in", "--output", tmp_path / "out", "--workers", 1)
    assert (result.returncode, result.stdout, result.stderr) == (0, b"", b"")
    assert (tmp_path / "out").read_bytes() == encoded(translations)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["in", "out"]
    result = hat_translate(bundle, "--input", tmp_path / "in", "--output", tmp_path / "in")
    assert (tmp_path / "in").read_bytes() == encoded(translations)


def test_an_output_that_is_no_plain_file_is_written_to(bundle, tmp_path, translations):
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    with subprocess.Popen(["cat", fifo], stdout=subprocess.PIPE) as reader:
        hat_translate(bundle, "--output", fifo, text=encoded(SENTENCES))
        assert reader.stdout.read() == encoded(translations)
    assert fifo.is_fifo()


@pytest.mark.parametrize("sentences_before", [1, 1001])
def test_input_that_is_not_utf8(bundle, tmp_path, translations, sentences_before):
    """What comes before it is translated, on standard output or beside the file that was asked for."""
    text = encoded(SENTENCES[:1] * sentences_before) + "schön\n".encode("latin-1") + encoded(SENTENCES)
    before = encoded(translations[:1] * sentences_before)
    result = hat_translate(bundle, text=text)
    assert_fails(result, 3, f"standard input, line {sentences_before + 1}: not UTF-8")
    assert result.stdout == before
    (tmp_path / "out").write_text("old")
    result = hat_translate(bundle, "--output", tmp_path / "out", text=text)
    assert_fails(result, 3, f"the translations up to there are in {tmp_path / 'out.partial'}")
    assert (tmp_path / "out.partial").read_bytes() == before
    assert (tmp_path / "out").read_text() == "old"


def test_input_that_is_not_there(bundle, tmp_path):
    assert_fails(hat_translate(bundle, "--input", tmp_path / "none"), 3, "none can't be read (No such file")
    assert_fails(hat_translate(bundle, "--input", tmp_path), 3, "can't be read (Is a directory)")
    assert_fails(hat_translate(bundle, "--prefix", tmp_path / "none"), 3, "none can't be read (No such file")


def test_output_that_can_not_be_written(bundle, tmp_path):
    text = encoded(SENTENCES)
    missing = tmp_path / "none" / "out"
    result = hat_translate(bundle, "--output", missing, text=text)
    assert_fails(result, 7, f"{missing} can't be written (No such file or directory)")
    assert_fails(hat_translate(bundle, "--output", tmp_path, text=text), 7, "can't be written (Is a directory)")
    assert_fails(hat_translate(bundle, "--output", "/dev/full", text=text), 7, "No space left on device")
    with open("/dev/full", "wb") as full:
        result = hat_translate(bundle, text=text, stdout=full)
    assert_fails(result, 7, "standard output can't be written (No space left on device); make room")


def test_a_disk_that_fills_up_leaves_the_old_file(bundle, tmp_path):
    """A limit on the size of files stands for the disk."""
    (tmp_path / "out").write_text("old")
    command = f"ulimit -f 1; trap '' XFSZ; exec {sys.executable} -m hat.cli.translate {bundle} --output {tmp_path}/out"
    text = encoded(SENTENCES * 300)
    result = subprocess.run(["bash", "-c", command], input=text, cwd=ROOT, capture_output=True, check=False)
    assert_fails(result, 7, "out can't be written (File too large)")
    assert (tmp_path / "out").read_text() == "old"
    complete = Translator(bundle).translate(SENTENCES * 300)
    assert encoded(complete).startswith((tmp_path / "out.partial").read_bytes())
    assert (tmp_path / "out.partial").stat().st_size >= 1024


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--beam", 0], "beam must be at least 1"),
        (["--beam", 49], "beam 49 is above the vocabulary of 48"),
        (["--beam", "five"], "invalid int value: 'five'"),
        (["--threads", 0], "0 is not a positive integer"),
        (["--threads", 4096], "4096 threads are more than the"),
        (["--workers", 4096], "4096 workers of 1 threads each are more than the"),
        (["--nbest", 4], "with a beam of 3"),
        (["--nbest", 0], "0 is not a positive integer"),
        (["--lenpen", "nan"], "lenpen must be a finite number"),
        (["--min-len", -1], "min_len must be at least 0"),
        (["--max-len-b", -1], "max_len_b must be at least 0"),
        (["--no-repeat-ngram", -2], "no_repeat_ngram must be at least 0"),
    ],
)
def test_impossible_options(bundle, tmp_path, arguments, message):
    result = hat_translate(bundle, *arguments, "--output", tmp_path / "out", text=encoded(SENTENCES))
    assert_fails(result, 2, message)
    assert list(tmp_path.iterdir()) == []


def test_a_missing_bundle(tmp_path):
    assert_fails(hat_translate(tmp_path / "none"), 4, "no such bundle")
    assert_fails(hat_translate(), 2, "the following arguments are required: BUNDLE")


def test_command_warns_on_one_line(tmp_path):
    long = make_bundle(tmp_path / "bundle", max_source_tokens=20)
    result = hat_translate(long, text=encoded([" ".join(SENTENCES)] * 2))
    assert result.returncode == 0
    assert result.stderr.startswith(b"hat-translate: warning: the sentence 'The old man reads")
    assert result.stderr.count(b"\n") == 2  # each time


def test_a_reader_that_leaves_early_is_no_error(bundle):
    with subprocess.Popen(
        [sys.executable, "-m", "hat.cli.translate", str(bundle)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        process.stdout.close()
        process.stdin.write("\n".join(SENTENCES).encode())
        process.stdin.close()
        assert process.stderr.read() == b""
        assert process.wait(timeout=120) == 0


RUNNER = """
sys.path.insert(0, {root!r})
from hat.cli.translate import main
main([{bundle!r}])
import json
print(json.dumps(sorted(name for name in sys.modules if name.split(".")[0] == "hat")), file=sys.stderr)
"""


def run_blocked(bundle):
    """Translations and the modules of hat that were imported, with nothing importable but ALLOWED."""
    script = blocking_imports(ALLOWED) + RUNNER.format(root=str(ROOT), bundle=str(bundle))
    text = encoded(SENTENCES)
    result = subprocess.run([sys.executable, "-c", script], input=text, capture_output=True, check=False, timeout=300)
    assert result.returncode == 0, result.stderr.decode()
    return result.stdout.decode().splitlines(), json.loads(result.stderr)


def test_nothing_else_is_imported_and_the_code_is_python_3_9(bundle, translations):
    found, modules = run_blocked(bundle)
    assert found == translations
    assert "hat.deploy.translator" in modules
    for name in modules:
        stem = ROOT.joinpath(*name.split("."))
        path = stem / "__init__.py" if stem.is_dir() else stem.with_suffix(".py")
        tree = ast.parse(path.read_text(encoding="utf-8"), feature_version=(3, 9))
        calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
        assert not any(keyword.arg == "strict" for call in calls for keyword in call.keywords), path
