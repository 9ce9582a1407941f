"""How good a latency predictor is: on samples that it did not see, beside simpler models."""

from typing import TYPE_CHECKING, Any

import numpy as np

from latency_predictor.fitting.comparison import folds
from latency_predictor.fitting.conformal import CONFIDENCE, LEAST_SCORES
from latency_predictor.fitting.outliers import GROSS, mishaps

if TYPE_CHECKING:
    from latency_predictor.fitting.predictor import LatencyPredictor


def errors(measured_ms: np.ndarray, predicted_ms: np.ndarray) -> dict[str, float]:
    """RMSE in ms, and mean absolute percentage error as a fraction."""
    error = np.abs(predicted_ms - measured_ms)
    return {"rmse_ms": float(np.sqrt(np.mean(error**2))), "mape": float(np.mean(error / measured_ms))}


def scores(measured_ms: np.ndarray, predicted_ms: np.ndarray) -> dict[str, float]:
    """`errors`, Kendall's tau, and the shares of predictions within 5 and 10 % as fractions.

    Tau is the share of pairs ranked rightly less that ranked wrongly (tau-a): a pair that is predicted equal, as a
    model of depths alone does with many, counts as not ranked.
    """
    measured_ms, predicted_ms = np.asarray(measured_ms), np.asarray(predicted_ms)
    relative, count = np.abs(predicted_ms - measured_ms) / measured_ms, len(measured_ms)
    agreement = np.sign(np.subtract.outer(measured_ms, measured_ms) * np.subtract.outer(predicted_ms, predicted_ms))
    return {
        **errors(measured_ms, predicted_ms),
        "kendall_tau": float(agreement.sum() / (count * (count - 1))),
        "within_5": float(np.mean(relative <= 0.05)),
        "within_10": float(np.mean(relative <= 0.10)),
    }


def assess(predictor: "LatencyPredictor", matrix: np.ndarray, latencies_ms: np.ndarray, seed: int) -> dict[str, Any]:
    """Quality of a predictor fitted to all samples (rows of `matrix`) with `seed`, each judged by a model without it.

    Only the samples that were drawn at random are judged, `at_random` of the `samples`: the others, chosen because they
    are extreme or the predictor was unsure of them, are not like what it will be asked for. Baselines are
    cross-validated alike: least squares on the two depths alone ("depth"), and on all raw features ("linear").
    `mishaps` counts samples that neither the model nor its bound was made for. `bound_coverage` is the share of samples
    below the upper bound that was made without them, and `bound_margin` how far that bound is above the prediction,
    relatively, in the median.
    """
    depths = [predictor.features.names.index(name) for name in predictor.features.depth_names]
    judged = predictor.at_random
    measured, predicted = latencies_ms[judged], predictor.out_of_fold[judged]
    upper = predictor.out_of_fold_upper[judged]
    pairs = zip(measured.tolist(), predicted.tolist(), strict=True)
    return {
        **scores(measured, predicted),
        "samples": len(latencies_ms),
        "at_random": len(measured),
        "held_out": [{"measured_ms": real, "predicted_ms": guess} for real, guess in pairs],
        "baselines": {
            "depth": _linear(matrix[:, depths], latencies_ms, judged, seed),
            "linear": _linear(matrix, latencies_ms, judged, seed),
        },
        "mishaps": int(mishaps(latencies_ms, predictor.out_of_fold).sum()),
        "model": predictor.model,
        "why": predictor.why,
        "comparison": predictor.comparison,
        "bound_coverage": float(np.mean(measured <= upper)),
        "bound_margin": float(np.median(upper / predicted - 1)),
    }


def _linear(columns: np.ndarray, latencies_ms: np.ndarray, judged: np.ndarray, seed: int) -> dict[str, float]:
    from sklearn.linear_model import LinearRegression

    predicted_ms = np.zeros(len(latencies_ms))
    for fitted, held_out in folds(len(latencies_ms), seed):
        model = LinearRegression().fit(columns[fitted], latencies_ms[fitted])
        predicted_ms[held_out] = model.predict(columns[held_out])
    return scores(latencies_ms[judged], predicted_ms[judged])


def table(quality: dict[str, Any]) -> str:
    """The quality beside its baselines, the models compared, which was kept and why, as lines of text."""
    lines = [
        f"{quality['samples']} samples; judged by the {quality['at_random']} drawn at random, each held out once",
        f"{'':<12}{'RMSE':>12}{'MAPE':>9}{'Kendall tau':>14}{'within 5 %':>13}{'within 10 %':>13}",
    ]
    rows = {"predictor": quality, "linear": quality["baselines"]["linear"], "depth only": quality["baselines"]["depth"]}
    for name, row in rows.items():
        lines.append(
            f"{name:<12}{row['rmse_ms']:>9.2f} ms{row['mape']:>8.1%}{row['kendall_tau']:>14.3f}"
            f"{row['within_5']:>12.0%}{row['within_10']:>13.0%}"
        )
    lines.append("models compared:")
    for name, row in quality["comparison"].items():
        mark = "  <- kept" if name == quality["model"] else ""
        lines.append(f"  {name:<10}{row['rmse_ms']:>9.2f} ms{row['mape']:>9.2%}{mark}")
    lines.append(f"why: {quality['why']}")
    if len(quality["comparison"]) > 1:
        lines.append("the mlp compared is a small, quick one; --model mlp fits the paper's")
    if quality["mishaps"]:
        lines.append(
            f"{quality['mishaps']} samples are off by more than a factor of {GROSS}: something went wrong with them, "
            "and they were left out of the fit and of the bound"
        )
    lines.append(
        f"upper bound of {CONFIDENCE:.0%} for architectures drawn at random: held for "
        f"{quality['bound_coverage']:.1%} of them, each held out; "
        f"it is {quality['bound_margin']:.1%} above the prediction"
    )
    if quality["at_random"] < LEAST_SCORES:
        lines.append(
            f"that bound is not sure: it is the largest error of {quality['at_random']} samples drawn at random, where "
            f"{LEAST_SCORES} are needed for {CONFIDENCE:.0%}"
        )
    return "\n".join(lines)
