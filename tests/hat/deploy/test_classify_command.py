"""hat-classify as a user runs it, and the classify.py of a bundle, which needs no HAT."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from classifiers import KINDS, LABELS, PAIRS, TEXTS, make_classifier_bundle, wordpiece_file
from deployed import blocking_imports, make_bundle
from test_standalone import RUNNER

from hat import Classifier
from hat.deploy.building.standalone import RUNTIMES, add_runtime
from hat.deploy.bundle import open_bundle

ROOT = Path(__file__).resolve().parents[3]
RUNTIME = RUNTIMES["classification"].file


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return make_classifier_bundle(tmp_path_factory.mktemp("bundles") / "fp32")


@pytest.fixture(scope="module")
def bert(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bundles")
    path = make_classifier_bundle(folder / "bert", tokenizer=wordpiece_file(folder / "words.json"), **KINDS["BERT"])
    add_runtime(path)
    return path


def hat_classify(*arguments, text=b"", command=("-m", "hat.cli.classify")):
    command = [sys.executable, *command, *map(str, arguments)]
    return subprocess.run(command, input=text, cwd=ROOT, check=False, timeout=300, capture_output=True)


def assert_fails(result, status, message):
    text = result.stderr.decode()
    assert (result.returncode, text.count("\n")) == (status, 1), text
    assert message in text


def encoded(lines):
    return "".join(line + "\n" for line in lines).encode()


def rows_of(results):
    return encoded(f"{label}\t{probability:.4f}" for label, probability in results)


def test_a_line_is_a_label_and_its_probability(bundle, tmp_path):
    expected = Classifier(bundle).classify(TEXTS)
    result = hat_classify(bundle, text=encoded(TEXTS))
    assert (result.stdout, result.stderr) == (rows_of(expected), b"")
    assert {label for label, _ in expected} <= set(LABELS)
    (tmp_path / "in").write_bytes(encoded(TEXTS))
    result = hat_classify(bundle, "--input", tmp_path / "in", "--output", tmp_path / "out", "--batch", 20, "--json")
    rows = [json.loads(line) for line in (tmp_path / "out").read_text().splitlines()]
    assert [row["label"] for row in rows] == [label for label, _ in expected]
    for row, probabilities in zip(rows, Classifier(bundle).probabilities(TEXTS), strict=True):
        assert row["probabilities"] == pytest.approx(probabilities, abs=1e-5)


def test_pairs(bert):
    text = encoded("\t".join(pair) for pair in PAIRS)
    result = hat_classify(bert, "--pairs", text=text)
    assert result.stdout == rows_of(Classifier(bert).classify(PAIRS)), result.stderr
    result = hat_classify(bert, "--pairs", text=text + b"only one text\n")
    assert_fails(result, 3, f"line {len(PAIRS) + 1} has 0 tabs; with --pairs each line is two texts and one tab")
    assert result.stdout.count(b"\n") == len(PAIRS)  # those before it aren't lost


def test_bad_input(bundle, tmp_path):
    result = hat_classify(bundle, text=b"A pear.\n\nA pear.\n")
    assert_fails(result, 3, "text 2 is blank; leave it out")
    assert result.stdout == rows_of(Classifier(bundle).classify(["A pear."]))  # what comes before isn't lost
    result = hat_classify(bundle, "--output", tmp_path / "out", text=b"A pear.\nsch\xf6n\n")
    assert_fails(
        result, 3, "standard input, line 2: not UTF-8; convert it first, with iconv for one; the results up to"
    )
    assert (tmp_path / "out.partial").read_bytes() == rows_of(Classifier(bundle).classify(["A pear."]))
    assert_fails(hat_classify(tmp_path / "none"), 4, "no such bundle; make one with hat-export")
    assert_fails(hat_classify(bundle, "--threads", 0), 2, "0 is not a positive integer")


def test_bundles_of_the_other_task_are_refused_by_both_commands(bundle, tmp_path):
    translator = make_bundle(tmp_path / "translator")
    assert_fails(hat_classify(translator), 4, "is a bundle for translation, not for classification; use it with hat-tr")
    result = hat_classify(bundle, command=("-m", "hat.cli.translate"))
    assert_fails(result, 4, "is a bundle for classification, not for translation; use it with hat-classify")


def run_alone(script, *packages, text):
    """The output of the one file where nothing but `packages` can be imported, not even hat."""
    code = blocking_imports(("numpy", "onnxruntime", *packages)) + RUNNER.format(arguments=[str(script), "--pairs"])
    command = [sys.executable, "-c", code]
    return subprocess.run(command, input=text, capture_output=True, check=False, timeout=300, cwd=script.parent)


def test_the_one_file_classifies_without_hat(bert):
    text = encoded("\t".join(pair) for pair in PAIRS)
    result = run_alone(bert / RUNTIME, "tokenizers", text=text)
    assert result.stdout == rows_of(Classifier(bert).classify(PAIRS)), result.stderr.decode()
    assert result.stderr == b""
    assert_fails(run_alone(bert / RUNTIME, text=text), 4, "needs the package tokenizers: pip install tokenizers")
    assert open_bundle(bert).description["files"][RUNTIME]["size"] == (bert / RUNTIME).stat().st_size


def test_the_one_file_is_a_module_too(bert):
    script = f"import classify; print(classify.Classifier(classify.BUNDLE).classify({TEXTS[:1]!r})[0][0])"
    command = [sys.executable, "-c", script]
    result = subprocess.run(command, capture_output=True, check=False, cwd=bert, timeout=300)
    assert result.stdout.decode().strip() == Classifier(bert).classify(TEXTS[:1])[0][0], result.stderr.decode()
