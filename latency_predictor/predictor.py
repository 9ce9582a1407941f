"""LatencyPredictor: milliseconds of an architecture on one device; saved as npz and JSON, never pickled."""

import zipfile
from pathlib import Path

import numpy as np

from hat import files
from hat.config import from_mapping
from hat.errors import ArtifactError, UsageError
from hat.search_space import SearchSpace
from latency_predictor.features import AveragedFeatures, PerLayerFeatures
from latency_predictor.regression import ARRAYS, LatencyRegressor

FORMAT = "hat-latency-predictor"
VERSION = 1
REMEDY = "run hat-fit-predictor again"


class LatencyPredictor:
    """A fitted LatencyRegressor and the features it reads (PerLayerFeatures of a space, or AveragedFeatures)."""

    def __init__(self, features, regressor):
        self.features, self._regressor = features, regressor

    @classmethod
    def fit(cls, architectures, latencies_ms, seed, features):
        """Fit to measured architectures; `latencies_ms` (architectures,)."""
        return cls(features, LatencyRegressor.fit(features.matrix(architectures), latencies_ms, seed))

    def predict(self, architectures):
        """Milliseconds (architectures,), float64; raises UsageError for an architecture outside of the space."""
        if not len(architectures):
            return np.zeros(0)
        return self._regressor.predict(self.features.matrix(architectures))

    def save(self, directory):
        """Write weights.npz and then predictor.json, which holds its SHA-256, into `directory`."""
        directory = Path(directory)
        with files.replacing(directory / "weights.npz") as temporary, open(temporary, "wb") as handle:
            np.savez(handle, **self._regressor.arrays)
        space = self.features.space.to_dict() if isinstance(self.features, PerLayerFeatures) else None
        description = {
            "format": FORMAT,
            "version": VERSION,
            "weights_sha256": files.sha256_of_file(directory / "weights.npz"),
            "feature_names": list(self.features.names),
            "space": space,
        }
        files.write_json(directory / "predictor.json", description)

    @classmethod
    def load(cls, directory):
        """Read what `save` wrote; raises ArtifactError if it is missing, foreign, of another version or damaged."""
        directory = Path(directory)
        path = directory / "predictor.json"
        description = files.read_json(path, REMEDY)
        if not isinstance(description, dict) or description.get("format") != FORMAT:
            raise ArtifactError(f"{path} is not a latency predictor; {REMEDY}")
        if description.get("version") != VERSION:
            raise ArtifactError(f"{path} has format version {description.get('version')}, not {VERSION}; {REMEDY}")
        features = _read_features(description, path)
        return cls(features, LatencyRegressor(_read_arrays(directory / "weights.npz", description)))


def _read_features(description, path):
    space = description.get("space")
    try:
        features = PerLayerFeatures(from_mapping(SearchSpace, space, f"{path}: space")) if space else AveragedFeatures()
    except UsageError as error:
        raise ArtifactError(f"{error}; {REMEDY}") from None
    if description.get("feature_names") != list(features.names):
        raise ArtifactError(f"{path}: was fitted on other features than this version computes; {REMEDY}")
    return features


def _read_arrays(path, description):
    if not path.exists():
        raise ArtifactError(f"{path} is missing; {REMEDY}")
    if files.sha256_of_file(path) != description.get("weights_sha256"):
        raise ArtifactError(f"{path} is damaged or belongs to another predictor; {REMEDY}")
    try:
        with np.load(path, allow_pickle=False) as stored:
            return {name: stored[name] for name in ARRAYS}
    except (ValueError, KeyError, zipfile.BadZipFile) as error:
        raise ArtifactError(f"{path} is not a predictor's weights ({error}); {REMEDY}") from None
