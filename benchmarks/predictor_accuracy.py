"""How well latency is predicted from the samples that HAT published, beside HAT's own method.

Eight files of 1,800 rows, random 80 % / 10 % / 10 %: fitted on the first part, judged on the last, the middle left out
(HAT leaves it out too). Mean of the seeds, on one core:

    python benchmarks/predictor_accuracy.py --hat --json accuracy.json

RMSE is in ms and MAPE in percent in the table. The JSON holds {"files": {name: {"rmse": ms, "mape": fraction, "tau":
Kendall's, "bound": share below the 95 % upper bound, "seconds": of fitting}}}, names without ending, and, with the same
keys where they apply, "few" of each file (fitted on `--samples` rows only) and "hat".
"""

import json
import time
from pathlib import Path

import numpy as np

from hat.cli.common import ArgumentParser, positive_int, run_command
from hat.errors import DataError
from latency_predictor.fitting.models import MODELS

ROOT = Path(__file__).resolve().parents[1]
ENDINGS = (".csv", ".csv.gz")
MIN_ROWS = 20
HAT_SCALES = (640, 6, 2048, 6, 640, 6, 2048, 6, 6, 2)  # by which HAT divides its features
HAT_WIDTH, HAT_HIDDEN_LAYERS, HAT_STEPS, HAT_BATCH, HAT_RATE = 400, 3, 5000, 128, 1e-5


def fit_ours(train, test, seed, model):
    """Figures of LatencyPredictor; `train` and `test` are (raw features, milliseconds)."""
    from latency_predictor.fitting.features import AveragedFeatures
    from latency_predictor.fitting.predictor import LatencyPredictor

    start = time.perf_counter()
    predictor = LatencyPredictor.fit_matrix(*train, seed, AveragedFeatures(), model)
    seconds = time.perf_counter() - start
    below = np.mean(test[1] <= predictor.upper_matrix(test[0]))
    return {**figures(test[1], predictor.predict_matrix(test[0])), "bound": float(below), "seconds": seconds}


def fit_hat(train, test, seed):
    """Figures of HAT's method: an MLP on scaled features and latencies, Adam on the mean squared error.

    HAT divides latencies by 200, 300 or 5,000 ms, about their median; here it is the median.
    """
    import torch
    from torch import nn

    torch.manual_seed(seed)
    torch.set_num_threads(1)
    widths = [len(HAT_SCALES), *[HAT_WIDTH] * (1 + HAT_HIDDEN_LAYERS)]  # HAT counts hidden layers after the first
    layers = [module for pair in zip(widths, widths[1:], strict=False) for module in (nn.Linear(*pair), nn.ReLU())]
    network = nn.Sequential(*layers, nn.Linear(HAT_WIDTH, 1), nn.Flatten(0))
    optimizer = torch.optim.Adam(network.parameters(), lr=HAT_RATE)
    median = np.median(train[1])
    features, targets = (torch.tensor(part, dtype=torch.float32) for part in (train[0] / HAT_SCALES, train[1] / median))
    start = time.perf_counter()
    for _ in range(HAT_STEPS):
        chosen = torch.randperm(len(features))[:HAT_BATCH]
        loss = nn.functional.mse_loss(network(features[chosen]), targets[chosen])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    seconds = time.perf_counter() - start
    with torch.no_grad():
        predicted = network(torch.tensor(test[0] / HAT_SCALES, dtype=torch.float32)).numpy() * median
    return {**figures(test[1], predicted), "seconds": seconds}


def figures(measured_ms, predicted_ms):
    """RMSE in ms, MAPE as a fraction and Kendall's tau (tau-b)."""
    from scipy.stats import kendalltau

    error = predicted_ms - measured_ms
    return {
        "rmse": float(np.sqrt(np.mean(error**2))),
        "mape": float(np.mean(np.abs(error) / measured_ms)),
        "tau": float(kendalltau(measured_ms, predicted_ms).statistic),
    }


def judge(train, test, seed, options):
    """{"all": figures, "few": ..., "hat": ...} of one pair of training and test rows."""
    found = {"all": fit_ours(train, test, seed, options.model)}
    if len(train[1]) > options.samples:
        few = np.random.default_rng(seed).permutation(len(train[1]))[: options.samples]
        found["few"] = fit_ours((train[0][few], train[1][few]), test, seed, options.model)
    if options.hat:
        found["hat"] = fit_hat(train, test, seed)
    return found


def random_split(samples, seed):
    """(training rows, test rows): the first 80 % and the last 10 % of `samples` in random order."""
    order = np.random.default_rng(seed).permutation(len(samples[1]))
    tenth = len(order) // 10
    return tuple(tuple(part[rows] for part in samples) for rows in (order[: -2 * tenth], order[-tenth:]))


def read_folder(folder):
    """{name without ending: (raw features, milliseconds)} of a folder's CSV files; raises DataError."""
    from latency_predictor.fitting.csv_files import read_hat_csv

    folder, found = Path(folder), {}
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder; name one that holds CSV files of latencies")
    for path in sorted(folder.iterdir()):
        if not path.name.endswith(ENDINGS):
            continue
        name = path.name.removesuffix(".gz").removesuffix(".csv")
        if name in found:
            raise DataError(f"{folder}: {name}.csv and {name}.csv.gz are both there; remove one of them")
        found[name] = read_hat_csv(path)
    if not found:
        raise DataError(f"{folder}: holds no .csv or .csv.gz file; name a folder that does")
    return found


def pairs(options):
    """{name: [(training rows, test rows, seed)]}: random splits, or the files of the two folders."""
    if not options.train_dir:
        splits = {
            name: [(*random_split(samples, seed), seed) for seed in range(options.seeds)]
            for name, samples in read_folder(options.data).items()
        }
    else:
        train, test = read_folder(options.train_dir), read_folder(options.test_dir)
        for name in train:
            if name not in test:
                raise DataError(f"{options.test_dir}: has no {name}.csv or .csv.gz to judge by; add it")
        for name in test.keys() - train.keys():
            print(f"note: {options.train_dir} has no {name}, so {options.test_dir}'s isn't used")
        splits = {name: [(train[name], test[name], seed) for seed in range(options.seeds)] for name in train}
    for name, ((train, test, _), *_) in splits.items():
        if len(train[1]) < MIN_ROWS or len(test[1]) < 2:
            raise DataError(
                f"{name}: {len(train[1])} rows to fit and {len(test[1])} to judge by are too few; "
                f"at least {MIN_ROWS} and 2 are needed"
            )
    return splits


def mean(rows):
    """Means, key by key, of a list of figures."""
    return {key: float(np.mean([row[key] for row in rows])) for key in rows[0]}


def line(name, found):
    """One row of the table."""
    cells = [f"{name:28}"]
    for key in ("all", "few", "hat"):
        if key in found:
            row = found[key]
            cells.append(f"{row['rmse']:8.2f} ms {100 * row['mape']:6.2f} % {row['tau']:7.3f} {row['seconds']:6.2f} s")
    return "  |  ".join(cells) + f"  |  {found['all']['bound']:6.1%}"


def main(arguments=None):
    parser = ArgumentParser(__doc__.split("\n\n")[0])
    parser.add_argument("--data", metavar="DIR", help="folder of CSV files to split (default: HAT's published ones)")
    parser.add_argument("--train-dir", metavar="DIR", help="instead, fit each CSV file of this folder")
    parser.add_argument("--test-dir", metavar="DIR", help="... and judge by the file of the same name in this one")
    parser.add_argument("--seeds", type=positive_int, default=3, help="splits, or fits, to average over")
    parser.add_argument("--samples", type=positive_int, default=200, help="rows of the fits with few rows")
    parser.add_argument("--model", choices=("auto", *MODELS), default="auto", help="the kind of model")
    parser.add_argument("--hat", action="store_true", help="HAT's own method too: 40 seconds a fit")
    parser.add_argument("--json", metavar="FILE", help="write all figures there")
    run_command(parser, lambda options: run(parser, options), arguments)


def run(parser, options):
    if bool(options.train_dir) != bool(options.test_dir):
        parser.error("--train-dir and --test-dir go together; give both or neither")
    if options.train_dir and options.data:
        parser.error("--data is for random splits; leave it out with --train-dir")
    if options.json and not Path(options.json).resolve().parent.is_dir():
        parser.error(f"{options.json}: no such folder; name a file in one that is there")
    options.data = options.data or ROOT.parent / "shared" / "data" / "hat_latency"
    files, splits = {}, pairs(options)
    import sklearn.ensemble  # noqa: F401  (loading it is no part of fitting)

    print("RMSE, MAPE, Kendall tau, seconds to fit: all rows  |  " + f"{options.samples} rows", end="")
    print(("  |  HAT's method" if options.hat else "") + "  |  below the 95 % bound")
    for name, rows in splits.items():
        judged = [judge(train, test, seed, options) for train, test, seed in rows]
        found = {key: mean([each[key] for each in judged]) for key in judged[0]}
        print(line(name, found), flush=True)
        files[name] = {**found.pop("all"), **found}
    if options.json:
        Path(options.json).write_text(json.dumps({"files": files}, indent=2) + "\n", encoding="utf-8")
        print(f"figures: {options.json}")


if __name__ == "__main__":
    main()
