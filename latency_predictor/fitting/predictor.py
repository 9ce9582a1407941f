"""LatencyPredictor: milliseconds of an architecture on one device; saved as npz and JSON, never pickled."""

import zipfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hat import files
from hat.architecture.space import SearchSpace
from hat.architecture.stacks import Architecture
from hat.config import from_mapping
from hat.errors import ArtifactError, UsageError
from latency_predictor.fitting import conformal
from latency_predictor.fitting.comparison import (
    Correction,
    CrossValidation,
    choose,
    cross_validate,
    fit_correction,
    folds,
)
from latency_predictor.fitting.features import AveragedFeatures, Features, PerLayerFeatures
from latency_predictor.fitting.models import MODELS
from latency_predictor.fitting.models.boosting import Boosting
from latency_predictor.fitting.models.network import Network
from latency_predictor.fitting.models.ridge import Ridge
from latency_predictor.fitting.outliers import mishaps
from latency_predictor.fitting.quality import errors

FORMAT = "hat-latency-predictor"
VERSION = 3
REMEDY = "run hat-fit-predictor again"
CORRECTIONS: dict[str, type[Boosting] | type[Network]] = {"boosting": Boosting, "mlp": Network}
CALIBRATION = ("level", "bound", "deviation", "largest_leverage", "out_of_fold", "out_of_fold_upper", "at_random")


@dataclass(frozen=True)
class Findings:
    """What fitting found: {model: {"mape", "rmse_ms"}} of cross-validation, one sentence why this model was kept, and
    the values met of each dimension.
    """

    comparison: dict
    why: str
    seen: dict


class LatencyPredictor:
    """A fitted ridge, perhaps corrected by another model, and the features it reads.

    `model` is 'ridge', 'boosting' or 'mlp'; `comparison` and `why` are those of its Findings. `out_of_fold` (samples,)
    are ms of the fitted samples, in their order, by models that did not see them; `out_of_fold_upper` likewise.
    `at_random` (samples,) tells those that were drawn at random: errors and bound are found from them alone.
    """

    def __init__(
        self, features: Features, ridge: Ridge, correction: Correction, calibration: dict[str, Any], findings: Findings
    ) -> None:
        self.features, self._ridge, self._correction = features, ridge, correction
        self._calibration, self._findings = calibration, findings
        self.model, self.comparison, self.why = correction.name, findings.comparison, findings.why
        self.out_of_fold, self.out_of_fold_upper = calibration["out_of_fold"], calibration["out_of_fold_upper"]
        self.at_random = calibration["at_random"]

    @classmethod
    def fit(
        cls,
        architectures: Sequence[Architecture],
        latencies_ms: np.ndarray,
        seed: int,
        features: Features,
        model: str = "auto",
        at_random: np.ndarray | Sequence[bool] | None = None,
    ) -> "LatencyPredictor":
        """Fit to measured architectures; `latencies_ms` (architectures,); see `fit_matrix`."""
        return cls.fit_matrix(features.matrix(architectures), latencies_ms, seed, features, model, at_random)

    @classmethod
    def fit_matrix(
        cls,
        matrix: np.ndarray,
        latencies_ms: np.ndarray,
        seed: int,
        features: Features,
        model: str = "auto",
        at_random: np.ndarray | Sequence[bool] | None = None,
    ) -> "LatencyPredictor":
        """Fit to raw features, `matrix` (samples, raw columns), and positive `latencies_ms` (samples,).

        `model` 'auto' compares all MODELS by cross-validation and keeps the best. The MLP that it compares is a small
        quick one; the paper's is fitted by `model` 'mlp' alone. All samples are fitted, but only those `at_random`, a
        mask (samples,), judge the models and make the bound; None where all were drawn at random. Raises UsageError
        for an unknown model.
        """
        if model not in ("auto", *MODELS):
            raise UsageError(f"model {model!r} is unknown; use auto, {', '.join(MODELS)}")
        import sklearn.ensemble  # noqa: F401  (threadpool_limits sees only libraries that are loaded)
        from threadpoolctl import threadpool_limits

        inputs, latencies_ms = features.inputs(matrix), np.asarray(latencies_ms, dtype=np.float64)
        judges = np.full(len(latencies_ms), True) if at_random is None else np.asarray(at_random, dtype=bool)
        with threadpool_limits(1):  # for matrices this small threads only wait for each other
            names = MODELS if model == "auto" else (model,)
            validated = cross_validate(names, inputs, latencies_ms, seed, quick=model == "auto")
            judged = {each: guess[judges] for each, guess in validated.predicted_ms.items()}
            name, why = choose(latencies_ms[judges], judged)
            ridge = Ridge.fit(inputs.physical, latencies_ms)
            correction = fit_correction(name, inputs, latencies_ms, ridge, seed, validated.penalty)
        findings = Findings(
            comparison={each: errors(latencies_ms[judges], guess) for each, guess in judged.items()},
            why=why if model == "auto" else f"{name} was asked for",
            seen=_seen(features, matrix),
        )
        calibration = _calibrate(validated, name, latencies_ms, judges, seed)
        return cls(features, ridge, correction, calibration, findings)

    def predict(self, architectures: Sequence[Architecture]) -> np.ndarray:
        """Milliseconds (architectures,), float64; raises UsageError for an architecture outside of the space."""
        return self.predict_matrix(self.features.matrix(architectures)) if len(architectures) else np.zeros(0)

    def predict_matrix(self, matrix: np.ndarray) -> np.ndarray:
        """Milliseconds (n,) for raw features (n, raw columns)."""
        inputs = self.features.inputs(matrix)
        return self._calibration["level"] * self._correction.predict(inputs, self._ridge.predict(inputs.physical))

    def upper(self, architectures: Sequence[Architecture]) -> np.ndarray:
        """Milliseconds (architectures,) that the latency of a random one is below with conformal.CONFIDENCE.

        Among architectures that were picked for a low bound, more than the rest of them are above.
        """
        return self.upper_matrix(self.features.matrix(architectures)) if len(architectures) else np.zeros(0)

    def upper_matrix(self, matrix: np.ndarray) -> np.ndarray:
        """`upper` for raw features (n, raw columns)."""
        return self.predict_matrix(matrix) * (1 + self._calibration["bound"] * conformal.spread(self._leverage(matrix)))

    def uncertainty(self, architectures: Sequence[Architecture]) -> np.ndarray:
        """The relative error to expect (architectures,), about one standard deviation; more where samples are few."""
        if not len(architectures):
            return np.zeros(0)
        leverage = self._leverage(self.features.matrix(architectures))
        return self._calibration["deviation"] * conformal.spread(leverage)

    def extrapolates(self, architectures: Sequence[Architecture]) -> np.ndarray:
        """Boolean (architectures,): True outside of what was measured.

        That is where a dimension has a value that no sample had, or where all of them together lie further out than
        any sample did from the others (by its leverage).
        """
        if not len(architectures):
            return np.zeros(0, bool)
        matrix = self.features.matrix(architectures)
        new = [
            ~np.isin(matrix[:, columns], self._findings.seen[dimension]).all(axis=1)
            for dimension, columns in self.features.dimensions.items()
        ]
        return np.any(new, axis=0) | (self._leverage(matrix) > self._calibration["largest_leverage"])

    def _leverage(self, matrix: np.ndarray) -> np.ndarray:
        return self._ridge.leverage(self.features.inputs(matrix).physical)

    def save(self, directory: Path | str) -> None:
        """Write weights.npz and then predictor.json, which holds its SHA-256, into `directory`."""
        directory = Path(directory)
        with files.replacing(directory / "weights.npz") as temporary, open(temporary, "wb") as handle:
            np.savez(handle, **self._arrays())
        space = self.features.space.to_dict() if isinstance(self.features, PerLayerFeatures) else None
        description = {
            "format": FORMAT,
            "version": VERSION,
            "weights_sha256": files.sha256_of_file(directory / "weights.npz"),
            "feature_names": [*self.features.names, *self.features.physical_names],
            "space": space,
            "model": self.model,
            "findings": asdict(self._findings),
        }
        files.write_json(directory / "predictor.json", description)

    def _arrays(self) -> dict[str, Any]:
        """{part.name: array} of everything numeric."""
        parts = {"ridge": self._ridge.arrays, "calibration": self._calibration}
        if self._correction.model is not None:
            parts["correction"] = self._correction.model.arrays
        return {f"{part}.{name}": np.asarray(value) for part, arrays in parts.items() for name, value in arrays.items()}

    @classmethod
    def load(cls, directory: Path | str) -> "LatencyPredictor":
        """Read what `save` wrote; raises ArtifactError if it is missing, foreign, of another version or damaged."""
        directory = Path(directory)
        path = directory / "predictor.json"
        description = files.read_json(path, REMEDY)
        if not isinstance(description, dict) or description.get("format") != FORMAT:
            raise ArtifactError(f"{path} is not a latency predictor; {REMEDY}")
        if description.get("version") != VERSION:
            raise ArtifactError(f"{path} has format version {description.get('version')}, not {VERSION}; {REMEDY}")
        features = _read_features(description, path)
        parts = _read_arrays(directory / "weights.npz", description)
        try:
            findings, name = Findings(**description["findings"]), description["model"]
            model = None if name == "ridge" else CORRECTIONS[name](parts["correction"])
            calibration = {key: parts["calibration"][key] for key in CALIBRATION}
            return cls(features, Ridge(parts["ridge"]), Correction(name, model), calibration, findings)
        except (KeyError, TypeError) as error:
            raise ArtifactError(f"{path} does not describe a predictor ({error}); {REMEDY}") from None


def _calibrate(
    validated: CrossValidation, name: str, latencies_ms: np.ndarray, at_random: np.ndarray, seed: int
) -> dict[str, Any]:
    """The numbers `CALIBRATION` of the model `name` of a CrossValidation."""
    predicted, spread = validated.predicted_ms[name], conformal.spread(validated.leverage)
    values = conformal.scores(latencies_ms, predicted, validated.leverage)
    counted = at_random & ~mishaps(latencies_ms, predicted)
    bounds = conformal.held_out_bounds(values, counted, folds(len(values), seed))
    return {
        "level": validated.levels[name],
        "bound": conformal.quantile(values[counted]),
        "deviation": conformal.deviation(values[at_random]),
        "largest_leverage": validated.leverage.max(),
        "out_of_fold": predicted,
        "out_of_fold_upper": predicted * (1 + bounds * spread),
        "at_random": at_random,
    }


def _seen(features: Features, matrix: np.ndarray) -> dict[str, list[float]]:
    """{dimension: its values in `matrix`, ascending}; 0 stands for layers that aren't there."""
    return {dimension: np.unique(matrix[:, columns]).tolist() for dimension, columns in features.dimensions.items()}


def _read_features(description: dict[str, Any], path: Path) -> Features:
    space = description.get("space")
    try:
        features = PerLayerFeatures(from_mapping(SearchSpace, space, f"{path}: space")) if space else AveragedFeatures()
    except UsageError as error:
        raise ArtifactError(f"{error}; {REMEDY}") from None
    if description.get("feature_names") != [*features.names, *features.physical_names]:
        raise ArtifactError(f"{path}: was fitted on other features than this version computes; {REMEDY}")
    return features


def _read_arrays(path: Path, description: dict[str, Any]) -> dict[str, dict[str, np.ndarray]]:
    """{part: {name: array}} of weights.npz."""
    if not path.exists():
        raise ArtifactError(f"{path} is missing; {REMEDY}")
    if files.sha256_of_file(path) != description.get("weights_sha256"):
        raise ArtifactError(f"{path} is damaged or belongs to another predictor; {REMEDY}")
    parts: dict[str, dict[str, np.ndarray]] = {}
    try:
        with np.load(path, allow_pickle=False) as stored:
            for key in stored.files:
                part, _, name = key.partition(".")
                parts.setdefault(part, {})[name] = stored[key]
    except (ValueError, zipfile.BadZipFile) as error:
        raise ArtifactError(f"{path} is not a predictor's weights ({error}); {REMEDY}") from None
    return parts
