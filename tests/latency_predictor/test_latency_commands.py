"""hat-measure-latency and hat-fit-predictor as a user meets them: results, one-line errors, exit statuses."""

import gzip
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from latency_runs import SETTINGS, make_run, write_samples
from search_toys import CONFIG

from hat.cli import fit_predictor, measure_latency
from hat.files import read_json_lines, write_yaml
from latency_predictor.fitting.features import AVERAGED

HEADER = ",".join([*AVERAGED, "latency_mean_encoder", "latency_mean_decoder"])
ROW = ",".join(["1"] * 10 + ["2.5", "3.5"])


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return make_run(tmp_path)


def failure(capsys, command, *arguments):
    """(exit status, the one line on stderr, beside warnings of what else this machine does)."""
    with pytest.raises(SystemExit) as end:
        command.main([str(argument) for argument in arguments])
    lines = capsys.readouterr().err.splitlines()
    messages = [line for line in lines if not line.startswith("warning: ")]
    assert len(messages) == 1
    return end.value.code, messages[0]


def test_measure_then_fit_on_the_latest_run(run, capsys):
    measure_latency.main(["--samples", "11"])
    assert len(read_json_lines(run.latency / "cpu.jsonl")) == 11
    fit_predictor.main([])
    assert (run.latency / "cpu.predictor" / "predictor.json").exists()
    assert "Kendall tau" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["measure_latency", "fit_predictor"])
def test_help_is_quick(name):
    code = f"from hat.cli.{name} import main; main()"
    start = time.monotonic()
    done = subprocess.run([sys.executable, "-X", "importtime", "-c", code, "--help"], capture_output=True, text=True)
    assert done.returncode == 0
    assert "--device NAME" in done.stdout
    assert not any(heavy in done.stderr for heavy in ("numpy", "torch", "sklearn", "onnxruntime", "yaml"))
    assert time.monotonic() - start < 10  # on the busiest machine


def test_no_run(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for command in (measure_latency, fit_predictor):
        status, message = failure(capsys, command)
        assert status == 4
        assert "--run" in message


@pytest.mark.parametrize("command", [measure_latency, fit_predictor])
def test_an_unknown_device(run, capsys, command):
    status, message = failure(capsys, command, "--device", "toaster")
    assert status == 5
    assert "'toaster'" in message
    assert "cpu, gpu, rpi4" in message


@pytest.mark.skipif(shutil.which("ssh") is None, reason="needs the ssh command")
@pytest.mark.parametrize("options", [[], ["--check"]])
def test_a_device_that_can_not_be_reached(run, capsys, options):
    device = {"backend": "onnxruntime", "host": "no-such-host.invalid", "connect_timeout_s": 5}
    write_yaml(Path("configs/devices/away.yaml"), device)
    status, message = failure(capsys, measure_latency, "--device", "away", *options)
    assert status == 5
    assert "away" in message


@pytest.mark.parametrize("samples", ["0", "-3", "many"])
def test_a_wrong_number_of_samples(run, capsys, samples):
    status, message = failure(capsys, measure_latency, f"--samples={samples}")
    assert status == 2
    assert "--samples" in message


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"beam": 0}, "latency.beam: 0 is not between 1 and"),
        ({"target_steps": 5000}, "latency.target_steps: 5000"),
        ({"vocabulary_size": 3}, "latency.vocabulary_size: 3"),
        ({"repeats": "often"}, "repeats: expected int"),
        ({"length": 3}, "unknown key 'length'"),
    ],
)
def test_wrong_latency_settings(run, capsys, change, message):
    config = CONFIG | {"latency": SETTINGS | change}
    (run.path / "config.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
    status, printed = failure(capsys, measure_latency)
    assert status == 2
    assert message in printed


def test_a_directory_that_cannot_be_written(run, capsys):
    run.latency.write_text("a file stands here")
    status, message = failure(capsys, measure_latency)
    assert status == 7
    assert str(run.latency) in message


def test_fitting_without_samples(run, capsys):
    status, message = failure(capsys, fit_predictor)
    assert status == 4
    assert "hat-measure-latency --device cpu" in message


def test_fitting_a_damaged_file(run, capsys):
    path = write_samples(run, 12)
    path.write_text(path.read_text(encoding="utf-8") + "{broken}\n", encoding="utf-8")
    status, message = failure(capsys, fit_predictor)
    assert status == 4
    assert "line 13" in message


@pytest.mark.parametrize(
    "arguments", [["--device", "cpu", "--csv", "x.csv"], ["--csv", "x.csv", "--run", "r"], ["--output", "there"]]
)
def test_options_that_do_not_go_together(run, capsys, arguments):
    status, message = failure(capsys, fit_predictor, *arguments)
    assert status == 2
    assert "--csv" in message


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (HEADER.replace("encoder_layer_num,", "", 1) + "\n", "column encoder_layer_num is missing"),
        ("", "is missing"),
        (HEADER + "\n", "holds no samples"),
        (f"{HEADER}\n{ROW}\n{ROW.replace('3.5', 'nan')}\n", "line 3: latency_mean_decoder is 'nan'"),
        (f"{HEADER}\n{ROW.replace('2.5', 'fast')}\n", "line 2: latency_mean_encoder is 'fast'"),
        (f"{HEADER}\n{ROW.replace('2.5', '-1')}\n", "line 2: latency_mean_encoder is '-1'"),
        (f"{HEADER}\n1,2,3\n", "line 2: cut before encoder_self_attention_heads_avg"),
        (f"{HEADER}\n{ROW}\n", "1 samples, but a predictor needs at least 10"),
        (b"\xff\xfe\x00", "not a readable CSV"),
    ],
)
def test_a_wrong_csv_file(tmp_path, monkeypatch, capsys, content, message):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "wrong.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    status, printed = failure(capsys, fit_predictor, "--csv", path)
    assert status == 3
    assert str(path) in printed
    assert message in printed
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("content", [b"no gzip", gzip.compress(f"{HEADER}\n{ROW}\n".encode(), mtime=0)[:-15]])
def test_a_wrong_gzip_file(tmp_path, capsys, content):
    path = tmp_path / "wrong.csv.gz"
    path.write_bytes(content)
    status, printed = failure(capsys, fit_predictor, "--csv", path)
    assert status == 3
    assert "not a readable CSV" in printed


def test_a_missing_csv_file(tmp_path, capsys):
    status, message = failure(capsys, fit_predictor, "--csv", tmp_path / "none.csv")
    assert status == 3
    assert "none.csv: no such file" in message
