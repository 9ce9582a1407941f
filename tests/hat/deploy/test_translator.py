"""Translator and hat-translate on bundles with random weights, also where little else is installed."""

import ast
import json
import os
import subprocess
import sys
import warnings
from pathlib import Path

import pytest
from deployed import SENTENCES, make_bundle

from hat import Translator
from hat.errors import UsageError

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
    return subprocess.run(command, input=text, capture_output=True, cwd=ROOT, check=False, timeout=300, **options)


def test_order_and_empty_lines(bundle, translations):
    assert len(set(translations)) >= 4
    lines = ["", SENTENCES[2], "   ", SENTENCES[0], "\t", SENTENCES[2], ""]
    expected = ["", translations[2], "", translations[0], "", translations[2], ""]
    assert Translator(bundle).translate(lines) == expected
    assert Translator(bundle).translate([]) == []


def test_batching_changes_nothing(bundle, translations):
    """One sentence a batch (a batch holds at least one), and all in one."""
    assert Translator(bundle, batch_tokens=1).translate(SENTENCES) == translations
    translator = Translator(bundle, batch_tokens=60)
    sizes = [[len(source) for source in sources] for sources in batches_of(translator, SENTENCES * 3)]
    assert all(len(batch) * max(batch) <= 60 for batch in sizes)
    assert len(sizes) < len(SENTENCES) * 3


def batches_of(translator, sentences):
    found = []
    search = translator.beam_search.search
    translator.beam_search.search = lambda sources, **options: found.append(sources) or search(sources, **options)
    translator.translate(sentences)
    return found


def test_beam_is_the_bundles_unless_given(bundle, translations):
    assert Translator(bundle, beam=3).translate(SENTENCES) == translations
    assert Translator(bundle, beam=1).translate(SENTENCES) != translations


@pytest.mark.parametrize("wrong", [{"threads": 0}, {"beam": 0}, {"batch_tokens": -1}])
def test_impossible_options(bundle, wrong):
    with pytest.raises(UsageError, match="must be at least 1"):
        Translator(bundle, **wrong)
    with pytest.raises(TypeError, match="list of sentences"):
        Translator(bundle).translate("one string")


def test_long_sentences_are_translated_in_parts_with_a_warning(tmp_path):
    translator = Translator(make_bundle(tmp_path / "bundle", max_source_tokens=20))
    sentence = " ".join(SENTENCES)
    with pytest.warns(UserWarning, match="translated in parts of 19 at most"):
        result = translator.translate(["A pear.", sentence])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        parts = list(translator._split(translator._source.encode(sentence), sentence))
    assert max(map(len, parts)) <= 19
    assert translator._source.decode(sum(parts, [])) == sentence
    texts = [translator._source.decode(part) for part in parts]
    assert [word for text in texts for word in text.split()] == sentence.split()  # cut between words only
    assert result == translator.translate(["A pear."]) + [" ".join(translator.translate(texts))]


def test_command_equals_class(bundle, translations):
    text = "\r\n".join([SENTENCES[0], "", *SENTENCES[1:]])  # Windows line ends, no end of line at the end
    result = hat_translate(bundle, "--threads", 1, "--batch", 50, text=text.encode())
    assert result.stderr == b""
    assert result.stdout.decode() == "\n".join([translations[0], "", *translations[1:]]) + "\n"
    assert hat_translate(bundle).stdout == b""


def test_command_reports_input_that_is_not_utf8(bundle):
    result = hat_translate(bundle, text="good\nschön\n".encode("latin-1"))
    assert result.returncode == 3
    assert result.stderr.decode().count("\n") == 1
    assert b"standard input, line 2: not UTF-8" in result.stderr


def test_command_reports_a_missing_bundle(tmp_path):
    result = hat_translate(tmp_path / "none")
    assert result.returncode == 4
    assert result.stderr.decode().count("\n") == 1
    assert b"no such bundle" in result.stderr


def test_command_warns_on_one_line(tmp_path):
    long = make_bundle(tmp_path / "bundle", max_source_tokens=20)
    result = hat_translate(long, text=" ".join(SENTENCES).encode())
    assert result.returncode == 0
    assert result.stderr.startswith(b"hat-translate: warning: the sentence 'The old man reads")
    assert result.stderr.count(b"\n") == 1


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


BLOCKER = """
import sys
sys.path.insert(0, {root!r})
allowed = {allowed!r}
class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] not in allowed and name.split(".")[0] not in sys.stdlib_module_names:
            raise ModuleNotFoundError(f"{{name}} is not installed here", name=name)
sys.meta_path.insert(0, Blocker())
from hat.cli.translate import main
main([{bundle!r}])
import json
print(json.dumps(sorted(name for name in sys.modules if name.split(".")[0] == "hat")), file=sys.stderr)
"""


def run_blocked(bundle):
    """Translations and the modules of hat that were imported, with nothing importable but ALLOWED."""
    script = BLOCKER.format(root=str(ROOT), allowed=ALLOWED, bundle=str(bundle))
    text = "\n".join(SENTENCES).encode()
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


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_fresh_environment_with_three_packages(tmp_path, python_with_three_packages, precision):
    bundle = make_bundle(tmp_path / "bundle", precision)
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
    text = "\n".join(SENTENCES).encode()
    result = hat_translate(bundle, text=text, python=python_with_three_packages, env=environment)
    assert result.returncode == 0, result.stderr.decode()
    expected = Translator(bundle).translate(SENTENCES)
    found = result.stdout.decode().splitlines()
    same = sum(left == right for left, right in zip(found, expected, strict=True))
    assert (
        same == len(SENTENCES) if precision == "fp32" else same >= len(SENTENCES) - 2
    )  # other kernels round otherwise


@pytest.fixture(scope="module")
def python_with_three_packages(tmp_path_factory):
    """The interpreter of a new virtual environment, an old Python where there is one; skips where pip has no index."""
    folder = tmp_path_factory.mktemp("environment") / "venv"
    for interpreter in ("python3.9", sys.executable):
        try:
            made = subprocess.run([interpreter, "-m", "venv", folder], capture_output=True, check=False)
        except FileNotFoundError:
            continue
        if made.returncode == 0:
            break
    python = folder / "bin" / "python"
    install = [python, "-m", "pip", "install", "-q", "--disable-pip-version-check", *ALLOWED[:3]]
    installed = subprocess.run(install, capture_output=True, check=False, text=True, timeout=600)
    if installed.returncode:
        pytest.skip(f"pip can't install here: {installed.stderr.splitlines()[-1:]}")
    return python
