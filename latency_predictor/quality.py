"""How good latency predictions are: on held-out samples, beside simpler models."""

import numpy as np

from latency_predictor.regression import LatencyRegressor

HELD_OUT_SHARE = 0.2


def scores(measured_ms, predicted_ms):
    """RMSE in ms; mean absolute percentage error, and the shares within 5 and 10 %, as fractions; Kendall's tau.

    Tau is the share of pairs ranked rightly less that ranked wrongly (tau-a): a pair that is predicted equal, as a
    model of depths alone does with many, counts as not ranked.
    """
    measured_ms, predicted_ms = np.asarray(measured_ms), np.asarray(predicted_ms)
    error, count = np.abs(predicted_ms - measured_ms), len(measured_ms)
    agreement = np.sign(np.subtract.outer(measured_ms, measured_ms) * np.subtract.outer(predicted_ms, predicted_ms))
    return {
        "rmse_ms": float(np.sqrt(np.mean(error**2))),
        "mape": float(np.mean(error / measured_ms)),
        "kendall_tau": float(agreement.sum() / (count * (count - 1))),
        "within_5": float(np.mean(error <= 0.05 * measured_ms)),
        "within_10": float(np.mean(error <= 0.10 * measured_ms)),
    }


def assess(features, matrix, latencies_ms, seed):
    """Quality of a predictor fitted to 80 % of the samples (rows of `matrix`), judged on the others.

    Baselines see the same samples: least squares on the two depths alone ("depth"), and on all features ("linear").
    """
    order = np.random.default_rng(seed).permutation(len(latencies_ms))
    held_out, fitted = np.split(order, [max(2, round(HELD_OUT_SHARE * len(order)))])
    measured = latencies_ms[held_out]
    depths = [features.names.index(name) for name in features.depth_names]

    def linear(columns):
        from sklearn.linear_model import LinearRegression

        model = LinearRegression().fit(matrix[fitted][:, columns], latencies_ms[fitted])
        return scores(measured, model.predict(matrix[held_out][:, columns]))

    predicted = LatencyRegressor.fit(matrix[fitted], latencies_ms[fitted], seed).predict(matrix[held_out])
    pairs = zip(measured.tolist(), predicted.tolist(), strict=True)
    return {
        **scores(measured, predicted),
        "samples": len(latencies_ms),
        "held_out": [{"measured_ms": real, "predicted_ms": guess} for real, guess in pairs],
        "baselines": {"depth": linear(depths), "linear": linear(slice(None))},
    }


def table(quality):
    """The quality beside its baselines as lines of text."""
    lines = [
        f"held-out {len(quality['held_out'])} of {quality['samples']} samples",
        f"{'':<12}{'RMSE':>12}{'MAPE':>9}{'Kendall tau':>14}{'within 5 %':>13}{'within 10 %':>13}",
    ]
    rows = {"predictor": quality, "linear": quality["baselines"]["linear"], "depth only": quality["baselines"]["depth"]}
    for name, row in rows.items():
        lines.append(
            f"{name:<12}{row['rmse_ms']:>9.2f} ms{row['mape']:>8.1%}{row['kendall_tau']:>14.3f}"
            f"{row['within_5']:>12.0%}{row['within_10']:>13.0%}"
        )
    return "\n".join(lines)
