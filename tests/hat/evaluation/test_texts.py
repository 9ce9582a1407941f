"""hat-evaluate on any parallel files, and of one target against another on the same text."""

import gzip
import hashlib
import json
import subprocess
import sys

import pytest
import sacrebleu
import torch
from evaluations import REFERENCES, SOURCES, Meter, evaluated, refused

from hat.cli.evaluate import main
from hat.deploy.translator import Translator
from hat.evaluation.evaluate import evaluate
from hat.evaluation.translation.significance import paired_bootstrap
from hat.models.checkpoint import load_model, save_model


@pytest.fixture
def other_text(tmp_path):
    """(SRC, REF): half of the phrases in another order, gzipped, and references that no model gives."""
    source, reference = tmp_path / "other.de.gz", tmp_path / "other.en"
    source.write_bytes(gzip.compress("".join(f"  {line}\r\n" for line in SOURCES[::-2]).encode()))
    reference.write_text("".join(f"{line} Indeed!\n" for line in REFERENCES[::-2]))
    return source, reference


def test_any_parallel_files_are_translated_alike_by_model_and_bundle(run, other_text, capsys):
    bundle = run.export("small") / "fp32"
    rows = evaluated(capsys, run, "small", bundle, "--test-set", *other_text)
    translations = Translator(bundle).translate(SOURCES[::-2])
    references = [f"{line} Indeed!" for line in REFERENCES[::-2]]
    expected = sacrebleu.corpus_bleu(translations, [references]).score
    assert [row["bleu"] for row in rows] == pytest.approx([expected, expected])
    assert [row["sentences"] for row in rows] == [4, 4]
    digests = [hashlib.sha256(path.read_bytes()).hexdigest() for path in other_text]
    source, reference = map(str, other_text)
    names = {"source": source, "source_sha256": digests[0], "reference": reference, "reference_sha256": digests[1]}
    assert [row["test_set"] for row in rows] == [names, names]


def test_several_test_sets_and_none_is_kept_as_the_test_split(run, other_text, measured, capsys):
    bundle = run.export("small") / "int8"
    evaluate(run, bundle, Meter(run))
    kept = (run.export("small") / "evaluation.int8.json").read_bytes()
    measured.clear()
    sets = ["--test-set", *map(str, other_text), "--test-set", "text.de", "text.en"]
    main([str(bundle), *sets, "--json", "--run", str(run.path)])
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [row["sentences"] for row in rows] == [4, 8]
    assert rows[1]["bleu"] == evaluate(run, bundle, Meter(run), latency=False)["bleu"]
    assert len(measured) == 1  # once for all test sets
    assert (run.export("small") / "evaluation.int8.json").read_bytes() == kept
    main([str(bundle), *sets, "--no-latency", "--run", str(run.path)])
    assert str(other_text[0]) in capsys.readouterr().out


def test_blank_lines_stay_empty_and_are_told(run, other_text, capsys):
    source, reference = other_text
    source.write_text(f"{SOURCES[0]}\n   \n{SOURCES[1]}\n")
    reference.write_text(f"{REFERENCES[0]}\nNothing.\n{REFERENCES[1]}\n")
    main(["small", str(run.export("small") / "fp32"), "--test-set", *map(str, other_text), "--no-latency", "--json"])
    printed = capsys.readouterr()
    rows = [json.loads(line) for line in printed.out.splitlines()]
    assert rows[0]["bleu"] == rows[1]["bleu"]
    assert rows[0]["sentences"] == 3
    assert "1 of 3 pairs" in printed.err


@pytest.mark.parametrize(
    ("source", "reference", "message"),
    [
        (b"a\nb\n", b"a\n", "has 2 lines"),
        (b"", b"a\n", "source is empty"),
        (b"a\n", b"\xff\n", "reference, line 1, byte 1: not UTF-8"),
        (b"a\n\n", b" \nb\n", "no line with text on both sides"),
        (None, b"a\n", "no such file"),
        (gzip.compress(b"a\n" * 1000, mtime=0)[:-9], b"a\n" * 1000, "damaged gzip"),
    ],
)
def test_files_that_cannot_be_judged(run, tmp_path, capsys, source, reference, message):
    for name, content in (("source", source), ("reference", reference)):
        if content is not None:
            (tmp_path / name).write_bytes(content)
    status, error = refused(capsys, run, "small", "--test-set", tmp_path / "source", tmp_path / "reference")
    assert status == 3
    assert message in error


def test_a_split_and_files_exclude_each_other(run, other_text, capsys):
    status, error = refused(capsys, run, "small", "--split", "valid", "--test-set", *other_text)
    assert status == 2
    assert "not allowed with" in error


def test_paired_bootstrap_is_that_of_the_sacrebleu_command(tmp_path):
    references = [f"{line[:-1]} and {other[:1].lower()}{other[1:]}" for line in REFERENCES for other in REFERENCES]
    translations = [line.replace("red", "blue") if number % 3 else line for number, line in enumerate(references)]
    baseline = [line.replace("dog", "cat") if number % 2 else line[:-9] for number, line in enumerate(references)]
    for name, lines in (("ref", references), ("base", baseline), ("sys", translations)):
        (tmp_path / name).write_text("\n".join(lines) + "\n")
    command = [sys.executable, "-m", "sacrebleu", "ref", "-i", "base", "sys", "--paired-bs", "-m", "bleu", "-f", "json"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    expected = {row["system"]: row["BLEU"] for row in json.loads(done.stdout)}
    found = paired_bootstrap(translations, baseline, references, "en")
    for prefix, name in (("", "sys"), ("baseline_", "Baseline: base")):
        for key, theirs in (("bleu", "score"), ("bleu_mean", "mean"), ("bleu_ci95", "ci")):
            assert found[f"{prefix}{key}"] == pytest.approx(expected[name][theirs], abs=1e-3)
    assert found["p_value"] == pytest.approx(expected["sys"]["p_value"], abs=1e-4)
    assert "bs:1000" in found["signature"]
    assert paired_bootstrap(baseline, baseline, references, "en")["p_value"] == 1.0


def test_compared_with_another_on_the_same_text(run, other_text, capsys):
    model = load_model(run.sub("small"))
    torch.nn.init.normal_(model.encoder.embed_tokens.weight, generator=torch.Generator().manual_seed(3))
    save_model(run.path / "worse", model)
    worse, bundle = run.path / "worse", run.export("small") / "fp32"
    baseline, row, same = evaluated(capsys, run, worse, bundle, "--against", "small", "--test-set", *other_text)
    assert "against" not in baseline
    assert (baseline["target"], row["against"]["target"]) == ("small", "small")
    assert row["against"]["bleu"] == pytest.approx(row["bleu"])
    assert row["against"]["baseline_bleu"] == pytest.approx(baseline["bleu"])
    assert 0 < row["against"]["p_value"] < 1
    assert same["against"]["p_value"] == 1  # the bundle translates as its model does
    main([str(worse), "--against", "small", "--no-latency", "--split", "valid", "--run", str(run.path)])
    printed = capsys.readouterr().out
    assert f"{worse} against small on valid: BLEU" in printed
    assert "paired bootstrap" in printed


def test_a_target_against_itself_is_refused(run, capsys):
    for against in ("small", run.sub("small")):
        status, error = refused(capsys, run, "small", "--against", against)
        assert status == 2
        assert "that is small itself" in error
