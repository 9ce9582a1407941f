"""The real hat-run on a tiny experiment: killed and resumed in two processes, run again, and refused."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import onnxruntime
import pytest

from hat import files
from hat.cli import run
from hat.data.translation.synthetic import generate
from hat.deploy.sessions import CUDA
from search import reference

CONFIG = """
name: tiny
seed: 3
data: {corpus: files, source_lang: de, target_lang: en, train: [train.de, train.en], valid: [valid.de, valid.en],
       test: [test.de, test.en], vocabulary_size: 300}
model: {normalize_before: true}
search_space:
  qkv_dim: 32
  encoder: {embed_dim: [32, 16], layers: [2, 1], ffn_dim: [64, 32], self_attention_heads: [2]}
  decoder: {embed_dim: [32, 16], layers: [3, 2, 1], ffn_dim: [64, 32], self_attention_heads: [2],
            cross_attention_heads: [2], cross_attention_span: [1, 2]}
super_training: {max_update: 80, warmup_updates: 10, lr: 0.005, max_tokens: 1024, validate_every: 20, save_every: 10}
sub_training: {max_update: 10, warmup_updates: 2, lr: 0.002, max_tokens: 1024, validate_every: 5, save_every: 5,
               average_checkpoints: 2, init: inherit}
latency: {samples: 12, source_length: 8, target_steps: 8, beam: 2, repeats: 5}
search: {latency: [95%, 90%], population: 10, parents: 3, mutations: 4, crossovers: 4, iterations: 2,
         measured_finalists: 2, validation_sentences: 50}
evaluation: {beam: 1, max_len_a: 0.0, max_len_b: 20}
"""
SENTENCES = {"train": 400, "valid": 60, "test": 60}
STAGES = 11  # beside the check of the budgets, which is done before training only
DEADLINE = 600  # seconds; on a slow machine a run takes three minutes
FAKE_CUDA = Path(__file__).parent.parent / "fake_cuda"


def write_experiment(directory):
    """tiny.yaml and its text: the synthetic corpus, but fewer of the 500 sentences that it holds out."""
    (directory / "tiny.yaml").write_text(CONFIG)
    for split, pairs in generate(3, SENTENCES["train"]).items():
        for language, lines in zip(("de", "en"), zip(*pairs[: SENTENCES[split]], strict=True), strict=True):
            (directory / f"{split}.{language}").write_text("\n".join(lines) + "\n", encoding="utf-8")


def start(directory, *arguments, **variables):
    command = [sys.executable, "-m", "hat.cli.run", *arguments]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", **variables}
    return subprocess.Popen(
        command, cwd=directory, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def hat_run(directory, *arguments, **variables):
    process = start(directory, *arguments, **variables)
    output, errors = process.communicate(timeout=DEADLINE)
    return process.returncode, output, errors


def contents(directory):
    """Path -> modification time of every file of a run, but its logs, its locks and its report."""
    changing = {"run.log", "report.html", "config.yaml"}
    found = [path for path in directory.rglob("*") if path.is_file() and path.name not in changing]
    return {path: path.stat().st_mtime_ns for path in found if path.parent.name != ".locks"}


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """(working directory, output) of a run that was killed while it trained and then started again, in 2 processes."""
    directory = tmp_path_factory.mktemp("quickstart")
    write_experiment(directory)
    killed = start(directory, "tiny.yaml", "--run", "run")
    checkpoint, deadline = directory / "run/super/checkpoints/checkpoint_last.pt", time.monotonic() + DEADLINE
    while not checkpoint.exists() and time.monotonic() < deadline:
        assert killed.poll() is None, killed.stderr.read()
        time.sleep(0.02)
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    two_processes = ["--processes", "2"]
    status, output, errors = hat_run(directory, "tiny.yaml", "--run", "run", *two_processes, CUDA_VISIBLE_DEVICES="")
    assert status == 0, errors
    return directory, output


def test_run_goes_on_where_it_was_killed(finished):
    directory, output = finished
    lines = output.splitlines()
    assert [line for line in lines if line.startswith(("prepare", "measure", "fit"))] != []
    assert all("up to date" in line for line in lines if line.startswith(("prepare", "measure", "fit")))
    updates = [row["update"] for row in files.read_json_lines(directory / "run" / "super" / "metrics.jsonl")]
    assert updates == [20, 40, 60, 80]


def test_what_is_not_trained_beside_others_is_trained_in_as_many_processes_as_asked_for(finished):
    directory, _ = finished
    told = (directory / "run" / "run.log").read_text(encoding="utf-8")
    assert told.count("an update: 2 processes x 1 batches of 512 tokens\n") == 1
    assert re.search(r"SuperTransformer: 1 processes came to update [1-7]0, 2 go on", told)


def test_every_choice_meets_its_budget_and_has_bundles(finished):
    directory, output = finished
    for name in ("cpu-95pct", "cpu-90pct"):
        choice = json.loads((directory / "run" / "search" / name / "choice.json").read_text())
        assert choice["measured_ms"] <= choice["budget_ms"]
        for precision in ("fp32", "int8"):
            exported = directory / "run" / "export" / name
            assert (exported / precision / "bundle.json").exists()
            assert json.loads((exported / f"evaluation.{precision}.json").read_text())["latency_ms"] > 0
    assert "HAT, 95%" in output
    assert "HAT, 90%" in output
    assert (directory / "run" / "report.html").stat().st_size > 20_000


def test_a_run_for_a_gpu_ends_with_a_report(finished, tmp_path):
    """With onnxruntime's CUDA provider, which a stand-in computes on the processor; int8 bundles aren't run by it.

    In a run directory with what depends on no device.
    """
    shutil.copytree(finished[0] / "run", tmp_path / "run")
    write_experiment(tmp_path)
    path = os.pathsep.join([str(FAKE_CUDA), *filter(None, [os.environ.get("PYTHONPATH")])])
    status, output, errors = hat_run(
        tmp_path, "tiny.yaml", "--device", "gpu", "--latency", "90%", "--run", "run", PYTHONPATH=path
    )
    assert status == 0, errors
    assert "HAT, 90%" in output
    exported = tmp_path / "run" / "export" / "gpu-90pct"
    evaluations = {name: json.loads((exported / f"evaluation.{name}.json").read_text()) for name in ("fp32", "int8")}
    assert evaluations["fp32"]["latency_ms"] > 0
    assert evaluations["int8"]["latency_ms"] is None
    report = (tmp_path / "run" / "report.html").read_text()
    assert "BLEU in - (int8 bundles are made for processors, not for gpu)" in report
    samples = files.read_json_lines(tmp_path / "run" / "latency" / "gpu.jsonl")
    assert {row["protocol"]["backend"] for row in samples} == {"onnxruntime"}


def test_second_run_does_nothing_again(finished):
    directory, _ = finished
    before = contents(directory / "run")
    status, output, _ = hat_run(directory, "tiny.yaml", "--run", "run")
    assert status == 0
    assert output.count("up to date") == STAGES - 1  # all but the report
    assert contents(directory / "run") == before


def test_a_run_of_another_config_is_refused_and_untouched(finished):
    directory, _ = finished
    before = contents(directory / "run")
    (directory / "other.yaml").write_text(CONFIG.replace("seed: 3", "seed: 4"))
    status, output, errors = hat_run(directory, "other.yaml", "--run", "run")
    assert (status, output) == (2, "")
    assert errors.count("\n") == 1
    assert "run belongs to another config (seed differs from other.yaml)" in errors
    assert contents(directory / "run") == before


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["tiny.yaml", "--latency", "20"], 2, "has no unit"),
        (["tiny.yaml", "--device", "toaster"], 5, "toaster"),
        (["missing.yaml"], 4, "no such file"),
        pytest.param(
            ["tiny.yaml", "--device", "gpu"],
            2,
            "'gpu': onnxruntime",
            marks=pytest.mark.skipif(CUDA in onnxruntime.get_available_providers(), reason="onnxruntime has CUDA here"),
        ),
    ],
)
def test_bad_arguments_are_told_before_any_work(tmp_path, arguments, status, message):
    write_experiment(tmp_path)
    returned, output, errors = hat_run(tmp_path, *arguments)
    assert (returned, output) == (status, "")
    assert message in errors
    assert "Traceback" not in errors
    assert not (tmp_path / "runs" / "tiny" / "data").exists()


def test_an_impossible_budget_is_told_before_training(tmp_path, monkeypatch, capsys):
    write_experiment(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(reference, "ATTEMPTS", 1)  # it is measured once: how often is tested with the reference
    with pytest.raises(SystemExit) as end:
        run.main(["tiny.yaml", "--latency", "1us"])
    assert end.value.code == 6
    assert "latency budget 1us is below the fastest SubTransformer" in capsys.readouterr().err
    assert not (tmp_path / "runs" / "tiny" / "super").exists()
