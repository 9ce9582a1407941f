"""Gradient boosted trees that correct a ridge: they learn the logarithm of measured over the ridge's prediction."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from latency_predictor.fitting.features import Inputs
from latency_predictor.fitting.models.ridge import Ridge
from latency_predictor.fitting.outliers import inliers

TREES = 40
DEPTH = 3
LEARNING_RATE = 0.1
ROW_SHARE = 0.5  # of the samples, drawn anew for each tree
COLUMN_SHARE = 0.5  # of the columns, drawn anew for each split
LEAF_SAMPLES = 5


class Boosting:
    """Predicts with numpy alone from `arrays`.

    feature, left, right, threshold and value are (trees, nodes); a leaf's children are the leaf itself, and `value`
    holds what the leaf adds to the logarithm.
    """

    def __init__(self, arrays: dict[str, np.ndarray]) -> None:
        self.arrays = arrays

    @classmethod
    def fit(cls, inputs: Inputs, latencies_ms: np.ndarray, ridge: Ridge, seed: int) -> "Boosting":
        """Fit to Inputs and `latencies_ms` (samples,) what `ridge` leaves; disturbed samples are left out."""
        from sklearn.ensemble import GradientBoostingRegressor

        ratio = latencies_ms / ridge.predict(inputs.physical)
        kept = inliers(ratio - 1)
        model = GradientBoostingRegressor(
            init="zero",
            n_estimators=TREES,
            max_depth=DEPTH,
            learning_rate=LEARNING_RATE,
            subsample=ROW_SHARE,
            max_features=COLUMN_SHARE,
            min_samples_leaf=LEAF_SAMPLES,
            random_state=seed,
        )
        model.fit(inputs.rows(kept).all(), np.log(ratio[kept]))
        return cls(_arrays([tree.tree_ for tree in model.estimators_[:, 0]]))

    def predict(self, inputs: Inputs, ridge_ms: np.ndarray) -> np.ndarray:
        """Milliseconds (samples,) for Inputs, given what the ridge predicts for them."""
        a = self.arrays
        columns = inputs.all().astype(np.float32)  # scikit-learn's trees compare at this precision
        samples, trees = np.arange(len(columns))[:, None], np.arange(len(a["value"]))[None]
        node = np.zeros((len(columns), len(a["value"])), dtype=np.int64)
        for _ in range(DEPTH):
            smaller = columns[samples, a["feature"][trees, node]] <= a["threshold"][trees, node]
            node = np.where(smaller, a["left"][trees, node], a["right"][trees, node])
        return ridge_ms * np.exp(a["value"][trees, node].sum(axis=1))


def _arrays(trees: Sequence[Any]) -> dict[str, np.ndarray]:
    shape = (len(trees), max(tree.node_count for tree in trees))
    arrays = {name: np.zeros(shape, dtype=np.int64) for name in ("feature", "left", "right")}
    arrays |= {name: np.zeros(shape) for name in ("threshold", "value")}
    for row, tree in enumerate(trees):
        count, leaf = tree.node_count, tree.children_left < 0
        itself = np.arange(count)
        arrays["feature"][row, :count] = np.where(leaf, 0, tree.feature)
        arrays["threshold"][row, :count] = tree.threshold
        arrays["left"][row, :count] = np.where(leaf, itself, tree.children_left)
        arrays["right"][row, :count] = np.where(leaf, itself, tree.children_right)
        arrays["value"][row, :count] = LEARNING_RATE * tree.value[:, 0, 0]
    return arrays
