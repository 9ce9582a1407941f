"""The benchmark of the predictor: figures of made-up files, both shapes of input, and one line for what is wrong."""

import gzip
import json
import sys
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import mean_absolute_percentage_error, root_mean_squared_error

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "benchmarks"))

import predictor_accuracy

from latency_predictor.fitting.features import AVERAGED

HEADER = [*AVERAGED, "latency_mean_encoder", "latency_mean_decoder"]


def rows(count, seed, noise=0.01):
    """Made-up samples with 1 % noise: what HAT's columns could be, and 5 + 10 depth + width * depth / 50 ms."""
    rng = np.random.default_rng(seed)
    features = np.column_stack(
        [rng.choice([512, 640], count), rng.choice([2, 4, 6], count), *rng.uniform(1, 8, (8, count))]
    )
    total = (5 + 10 * features[:, 1] + features[:, 0] * features[:, 1] / 50) * np.exp(
        noise * rng.standard_normal(count)
    )
    return np.column_stack([features, 0.3 * total, 0.7 * total])


def write_csv(path, table):
    text = "\n".join([",".join(HEADER), *(",".join(map(repr, row)) for row in table.tolist())]) + "\n"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())


@pytest.fixture
def folders(tmp_path):
    """train/ and test/ with the files `one` and `two`, plain and compressed."""
    write_csv(tmp_path / "train" / "one.csv", rows(240, seed=1))
    write_csv(tmp_path / "train" / "two.csv.gz", rows(60, seed=2))
    write_csv(tmp_path / "test" / "one.csv.gz", rows(80, seed=3))
    write_csv(tmp_path / "test" / "two.csv", rows(80, seed=4))
    (tmp_path / "train" / "README.md").write_text("no samples")
    return tmp_path


def benchmark(*arguments):
    predictor_accuracy.main([str(argument) for argument in arguments])


def failure(capsys, *arguments):
    """(exit status, the one line on stderr)."""
    with pytest.raises(SystemExit) as end:
        benchmark(*arguments)
    message = capsys.readouterr().err
    assert message.count("\n") == 1
    return end.value.code, message


def test_figures_of_train_and_test_files(folders, capsys):
    benchmark("--train-dir", folders / "train", "--test-dir", folders / "test", "--json", folders / "out.json")
    files = json.loads((folders / "out.json").read_text())["files"]
    assert list(files) == ["one", "two"]
    for found in files.values():
        assert found["mape"] == pytest.approx(0.01 * np.sqrt(2 / np.pi), rel=0.35)  # what the noise alone makes
        assert found["rmse"] < 0.015 * 120
        assert found["tau"] > 0.75  # six architectures, so that noise ranks a sixth of the pairs
        assert found["bound"] > 0.85
    assert "few" in files["one"]  # 240 rows are more than 200
    assert "few" not in files["two"]
    assert {"one", "two"} < set(capsys.readouterr().out.split())


def test_random_splits_of_each_file(folders):
    benchmark("--data", folders / "train", "--seeds", 2, "--samples", 50, "--json", folders / "out.json")
    files = json.loads((folders / "out.json").read_text())["files"]
    assert list(files) == ["one", "two"]
    assert files["one"]["mape"] < 0.02
    assert files["one"]["few"]["mape"] < 0.02


def test_figures_are_those_of_scikit_learn():
    measured, predicted = np.array([10.0, 20, 40]), np.array([11.0, 18, 41])
    found = predictor_accuracy.figures(measured, predicted)
    assert found["rmse"] == pytest.approx(root_mean_squared_error(measured, predicted))
    assert found["mape"] == pytest.approx(mean_absolute_percentage_error(measured, predicted))
    assert found["tau"] == 1


def test_no_row_is_both_fitted_and_judged():
    samples = np.arange(200.0)[:, None] + np.zeros(10), np.arange(200.0)
    train, test = predictor_accuracy.random_split(samples, seed=1)
    assert (len(train[1]), len(test[1])) == (160, 20)
    assert not set(train[1]) & set(test[1])
    np.testing.assert_array_equal(train[0][:, 0], train[1])


def test_hats_own_method_learns(monkeypatch):
    """Fewer steps at a higher rate, as 5,000 take 40 seconds."""
    monkeypatch.setattr(predictor_accuracy, "HAT_STEPS", 150)
    monkeypatch.setattr(predictor_accuracy, "HAT_RATE", 1e-3)
    train, test = rows(200, seed=1), rows(50, seed=2)
    found = predictor_accuracy.fit_hat(*((part[:, :10], part[:, 10:].sum(axis=1)) for part in (train, test)), seed=1)
    assert found["mape"] < 0.1
    assert found["seconds"] > 0


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["--train-dir", "train"], 2, "--train-dir and --test-dir go together"),
        (["--train-dir", "train", "--test-dir", "test", "--data", "train"], 2, "--data is for random splits"),
        (["--data", "train", "--seeds", "0"], 2, "--seeds"),
        (["--data", "train", "--json", "none/out.json"], 2, "no such folder"),
        (["--data", "none"], 3, "none: no such folder"),
        (["--data", "empty"], 3, "holds no .csv"),
        (["--train-dir", "train", "--test-dir", "other"], 3, "has no two.csv"),
    ],
)
def test_wrong_options(folders, monkeypatch, capsys, arguments, status, message):
    monkeypatch.chdir(folders)
    (folders / "empty").mkdir()
    write_csv(folders / "other" / "one.csv", rows(5, seed=1))
    found = failure(capsys, *arguments)
    assert found[0] == status
    assert message in found[1]


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda text: text.replace("encoder_layer_num", "depth", 1), "column encoder_layer_num is missing"),
        (lambda text: text + "nan," * 11 + "1\n", "line 62: encoder_embed_dim is 'nan'"),
        (lambda text: text[: text.rindex(",") - 20], "line 61: cut before"),
        (lambda text: "\n".join(text.split("\n")[:9]) + "\n", "8 rows to fit"),
    ],
)
def test_a_damaged_file_is_told(folders, capsys, damage, message):
    path = folders / "train" / "two.csv"
    path.write_text(damage(gzip.decompress(path.with_suffix(".csv.gz").read_bytes()).decode()))
    path.with_suffix(".csv.gz").unlink()
    status, found = failure(capsys, "--train-dir", folders / "train", "--test-dir", folders / "test")
    assert status == 3
    assert "two" in found
    assert message in found


def test_a_name_twice_is_told(folders, capsys):
    write_csv(folders / "train" / "one.csv.gz", rows(30, seed=1))
    status, message = failure(capsys, "--data", folders / "train")
    assert status == 3
    assert "one.csv and one.csv.gz are both there" in message
