"""The fit stage: honest quality, baselines, and a predictor that is fitted again only when it must be."""

import gzip
import json
from dataclasses import replace

import numpy as np
import pytest
from latency_runs import FIXED, made_up_sample, make_run, write_samples
from scipy.stats import kendalltau
from search_toys import SPACE, latency
from shared_data import shared_data
from sklearn.metrics import mean_absolute_percentage_error, root_mean_squared_error

from hat.errors import ArtifactError
from hat.experiment.run_directory import stamp
from hat.files import append_json_line
from latency_predictor.fitting.csv_files import read_hat_csv
from latency_predictor.fitting.features import AVERAGED, AveragedFeatures
from latency_predictor.fitting.fit import fit_csv, fit_predictor, load_or_fit, read_latencies
from latency_predictor.fitting.predictor import LatencyPredictor
from latency_predictor.fitting.quality import assess, scores
from latency_predictor.link.devices import load_device
from latency_predictor.sampling.sample import samples_path
from latency_predictor.sampling.selection import planned_architectures


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return make_run(tmp_path)


def test_scores_are_those_of_scipy_and_scikit_learn():
    rng = np.random.default_rng(0)
    measured = rng.uniform(10, 20, 40)
    predicted = measured * rng.normal(1, 0.06, 40)
    found = scores(measured, predicted)
    relative = np.abs(predicted / measured - 1)
    assert found["rmse_ms"] == pytest.approx(root_mean_squared_error(measured, predicted))
    assert found["mape"] == pytest.approx(mean_absolute_percentage_error(measured, predicted))
    assert found["kendall_tau"] == pytest.approx(kendalltau(measured, predicted).statistic)
    assert found["within_5"] == sum(value <= 0.05 for value in relative) / 40
    assert found["within_10"] == sum(value <= 0.10 for value in relative) / 40


@pytest.mark.parametrize(("predicted", "tau"), [([2, 2, 2], 0), ([1, 1, 2], 2 / 3), ([3, 2, 1], -1)])
def test_equal_predictions_rank_nothing(predicted, tau):
    assert scores([1.0, 2.0, 3.0], predicted)["kendall_tau"] == pytest.approx(tau)


def test_fit_leaves_predictor_quality_and_figure(run, capsys):
    write_samples(run, 60)
    predictor = fit_predictor(run, "cpu")
    printed = capsys.readouterr().out
    folder = run.latency / "cpu.predictor"
    quality = json.loads((folder / "quality.json").read_text())
    assert quality["samples"] == 60
    assert quality["clock"] == "processor"
    assert quality["at_random"] == len(quality["held_out"]) == 60 - FIXED
    assert quality["mape"] < 0.05 < quality["baselines"]["depth"]["mape"]
    held_out = np.array([[pair["measured_ms"], pair["predicted_ms"]] for pair in quality["held_out"]]).T
    assert scores(*held_out) == {name: quality[name] for name in scores(*held_out)}
    assert (folder / "predicted_vs_measured.png").read_bytes().startswith(b"\x89PNG")
    for text in (
        "RMSE",
        "MAPE",
        "Kendall tau",
        "within 5 %",
        "within 10 %",
        "depth only",
        "linear",
        "why: ",
        "hat-search",
    ):
        assert text in printed
    assert predictor.predict([SPACE.largest()])[0] == pytest.approx(latency(SPACE.largest()), rel=0.1)


def test_each_sample_was_held_out():
    """A sample that is far off is predicted as if it weren't there."""
    features, rng = AveragedFeatures(), np.random.default_rng(0)
    matrix = rng.uniform(1, 2, (50, len(AVERAGED)))
    latencies = matrix.sum(axis=1)

    def held_out(latencies):
        predictor = LatencyPredictor.fit_matrix(matrix, latencies, 1, features, "ridge")
        return assess(predictor, matrix, latencies, seed=1)["held_out"]

    clean = held_out(latencies)
    for row in (0, 17):
        changed = held_out(np.where(np.arange(50) == row, 1.08 * latencies, latencies))
        assert changed[row]["measured_ms"] == pytest.approx(1.08 * clean[row]["measured_ms"])
        assert changed[row]["predicted_ms"] == pytest.approx(clean[row]["predicted_ms"], rel=1e-3)


def test_a_current_predictor_is_loaded(run, monkeypatch):
    write_samples(run, 30)
    fitted = load_or_fit(run, "cpu")
    monkeypatch.setattr(LatencyPredictor, "fit_matrix", None)
    np.testing.assert_array_equal(load_or_fit(run, "cpu").predict([SPACE.largest()]), fitted.predict([SPACE.largest()]))


def test_new_samples_mean_a_new_fit(run):
    write_samples(run, 30)
    before = load_or_fit(run, "cpu").predict([SPACE.smallest()])
    append_json_line(write_samples(run, 31), made_up_sample(run, SPACE.smallest(), 1.1 * before[0]).to_dict())
    assert load_or_fit(run, "cpu").predict([SPACE.smallest()]) > before
    assert json.loads((run.latency / "cpu.predictor" / "quality.json").read_text())["samples"] == 31


@pytest.mark.parametrize("count", [0, 9])
def test_too_few_samples_name_the_command(run, count):
    write_samples(run, count)
    with pytest.raises(ArtifactError, match=rf"{count} samples.*hat-measure-latency --device cpu"):
        load_or_fit(run, "cpu")
    assert not (run.latency / "cpu.predictor").exists()


def test_too_few_drawn_at_random_name_the_command(run):
    path = samples_path(run, load_device("cpu"))
    for index, architecture in enumerate(planned_architectures(SPACE, 1, 20)):
        sample = replace(made_up_sample(run, architecture, latency(architecture)), at_random=index in (4, 8, 11, 19))
        append_json_line(path, sample.to_dict())
    with pytest.raises(ArtifactError, match=r"5 of them drawn at random \(4 are\); run `hat-measure-latency"):
        load_or_fit(run, "cpu")


def test_only_samples_drawn_at_random_judge_the_predictor(run, capsys):
    """The others are ten percent off; that isn't seen in any error."""
    path, planned = samples_path(run, load_device("cpu")), planned_architectures(SPACE, 1, 120)
    for index, architecture in enumerate(planned):
        off = 1.0 if index % 2 else 0.9 + 0.2 * (index % 4 == 0)
        sample = replace(made_up_sample(run, architecture, off * latency(architecture)), at_random=bool(index % 2))
        append_json_line(path, sample.to_dict())
    predictor = fit_predictor(run, "cpu")
    assert "120 samples; judged by the 60 drawn at random" in capsys.readouterr().out
    quality = json.loads((run.latency / "cpu.predictor" / "quality.json").read_text())
    assert [pair["measured_ms"] for pair in quality["held_out"]] == pytest.approx(
        [latency(architecture) for architecture in planned[1::2]]
    )
    assert max(quality["mape"], predictor.comparison[predictor.model]["mape"]) < 0.05
    errors = np.abs(predictor.out_of_fold / [latency(architecture) for architecture in planned] - 1)
    assert quality["mape"] == pytest.approx(np.mean(errors[1::2]))
    assert quality["bound_coverage"] == np.mean(
        np.array([latency(architecture) for architecture in planned]) <= predictor.out_of_fold_upper,
        where=predictor.at_random,
    )


# Test RMSE (ms) and MAPE of HAT's own method, fitted to 1,440 rows, as measured with benchmarks/predictor_accuracy.py.
HATS = {"wmt14ende_cpu_xeon": (16.2, 0.049), "wmt14enfr_cpu_raspberrypi": (74.8, 0.0095)}


@pytest.mark.parametrize("name", HATS)
def test_a_seventh_of_what_hat_measured_does_as_well(name):
    matrix, latencies = read_hat_csv(shared_data("hat_latency", f"{name}.csv.gz"))
    assert matrix.shape == (1800, 10)
    predictor = LatencyPredictor.fit_matrix(matrix[::9], latencies[::9], 1, AveragedFeatures())
    others = np.arange(1800) % 9 != 0
    found = scores(latencies[others], predictor.predict_matrix(matrix[others]))
    rmse_ms, mape = HATS[name]
    assert found["rmse_ms"] < 1.1 * rmse_ms
    assert found["mape"] < 1.1 * mape
    quality = assess(predictor, matrix[::9], latencies[::9], seed=1)
    assert quality["mape"] < quality["baselines"]["depth"]["mape"]
    assert quality["mape"] < quality["baselines"]["linear"]["mape"]
    assert quality["bound_coverage"] == pytest.approx(0.95, abs=0.05)


def test_published_rows_are_read_in_order():
    path = shared_data("hat_latency", "wmt14ende_cpu_xeon.csv.gz")
    matrix, latencies = read_hat_csv(path)
    with gzip.open(path, "rt") as handle:
        names, first = (next(handle).strip().split(",") for _ in range(2))
    row = dict(zip(names, map(float, first), strict=True))
    assert matrix[0].tolist() == [row[name] for name in AVERAGED]
    assert latencies[0] == row["latency_mean_encoder"] + row["latency_mean_decoder"]


def test_stages_after_it_see_another_predictor_and_no_other(run):
    def fitted(model):
        fit_predictor(run, "cpu", model)
        return stamp(run.latency / "cpu.predictor")

    path = write_samples(run, 30)
    ridge = fitted("ridge")
    assert fitted("boosting") != ridge
    append_json_line(path, json.loads(path.read_text().splitlines()[-1]))  # one of them, taken once more
    assert fitted("ridge") == ridge
    append_json_line(path, made_up_sample(run, SPACE.smallest(), 2 * latency(SPACE.smallest())).to_dict())
    assert fitted("ridge") != ridge


def test_a_quantile_of_the_sentences_has_its_own_predictor(run):
    write_samples(run, 30)
    median, p90 = load_or_fit(run, "cpu"), load_or_fit(run, "cpu", 0.9)
    assert (run.latency / "cpu.p90.predictor" / "predictor.json").exists()
    assert p90.predict([SPACE.largest()])[0] == pytest.approx(median.predict([SPACE.largest()])[0])  # of fixed length


def test_a_slow_spell_is_divided_out_by_the_reference(run):
    path = samples_path(run, load_device("cpu"))
    for index, architecture in enumerate(planned_architectures(SPACE, 1, 60)):
        pace = 1.5 if index > 40 else 1.0
        append_json_line(path, made_up_sample(run, architecture, latency(architecture), pace=pace).to_dict())
    architectures, latencies_ms, at_random = read_latencies(run, load_device("cpu"))
    assert at_random.tolist() == [False] * FIXED + [True] * 57  # found by the plan: these samples don't say
    true_ms = np.array([latency(architecture) for architecture in architectures])
    assert np.abs(latencies_ms / true_ms - 1).max() < 0.05  # the exponent is found, not known


def test_the_model_that_was_asked_for_stays_until_new_samples_come(run, capsys):
    path = write_samples(run, 30)
    assert fit_predictor(run, "cpu", "boosting").model == "boosting"
    assert "boosting was asked for" in capsys.readouterr().out
    assert load_or_fit(run, "cpu").model == "boosting"
    append_json_line(path, made_up_sample(run, SPACE.smallest(), latency(SPACE.smallest())).to_dict())
    assert load_or_fit(run, "cpu").model == "ridge"


def test_a_csv_predictor_knows_architectures(tmp_path, capsys):
    rows = AveragedFeatures().matrix([SPACE.sample(np.random.default_rng(seed)) for seed in range(60)])
    lines = [",".join([*AVERAGED, "latency_mean_encoder", "latency_mean_decoder"])]
    lines += [",".join(map(str, [*row, 1.0 + row[1], 5.0 * row[5]])) for row in rows]
    (tmp_path / "mine.csv").write_text("\n".join(lines) + "\n")
    predictor = fit_csv(tmp_path / "mine.csv", tmp_path / "out")
    largest = SPACE.largest()
    expected = 1 + largest.encoder.layers + 5 * largest.decoder.layers
    assert predictor.predict([largest])[0] == pytest.approx(expected, rel=0.05)
    assert (tmp_path / "out" / "mine.predictor" / "quality.json").exists()
    assert str(tmp_path / "out" / "mine.predictor") in capsys.readouterr().out


def test_every_precision_has_samples_and_a_predictor_of_its_own(tmp_path):
    run = make_run(tmp_path)
    path = write_samples(run, 12, "cpu.int8")
    assert path.name == "cpu.int8.jsonl"
    assert {json.loads(line)["protocol"]["precision"] for line in path.read_text().splitlines()} == {"int8"}
    load_or_fit(run, "cpu.int8")
    assert (run.latency / "cpu.int8.predictor" / "done.json").exists()
    with pytest.raises(ArtifactError, match=r"cpu\.jsonl: 0 samples"):
        load_or_fit(run, "cpu")
