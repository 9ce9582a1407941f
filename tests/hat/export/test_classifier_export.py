"""Calibrating classifiers, and checking their bundles against PyTorch."""

import numpy as np
import pytest
import torch
from classifiers import (
    FIXED_HEADS,
    KINDS,
    SPLIT_HEADS,
    Reference,
    classifier_spec,
    classifier_weights,
    make_classifier_bundle,
    random_texts,
)

from hat.deploy.building.classifier_graph import build_classifier_graphs
from hat.deploy.building.quantisation import activation_parameters
from hat.deploy.sessions import make_session
from hat.errors import ArtifactError, DataError
from hat.export.classification.bundle import describe_classifier
from hat.export.classification.calibration import calibrate_classifier
from hat.export.classification.check import ClassifierReference
from hat.models.classification import Classifier


class RoundedReference(Reference):
    """The plain computation with weights of 8 bits, and inputs of products rounded as their ranges say."""

    def __init__(self, architecture, spec, weights, ranges):
        super().__init__(architecture, spec, {name: rounded_rows(name, weight) for name, weight in weights.items()})
        self._ranges = ranges

    def _linear(self, x, name):
        return super()._linear(rounded(x, *self._ranges[name.replace("qkv_proj", "q_proj")]), name)


def rounded_rows(name, weight):
    """Rows in steps of a 127th of their largest value; what is normalised or added stays as it is."""
    if weight.ndim == 1 or "embed_positions" in name or "embed_segments" in name:
        return weight
    steps = np.abs(weight).max(axis=1, keepdims=True) / 127
    return np.rint(weight / steps) * steps


def rounded(x, low, high):
    scale, zero = activation_parameters(low, high)
    return ((x / float(scale)).round().add(int(zero)).clamp(0, 255) - int(zero)) * float(scale)


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_int8_is_the_plain_computation_rounded(kind):
    """Not exactly: weights of neighbours may be in coarser steps, and value biases pass the rounding by."""
    spec, rng = classifier_spec(**kind), np.random.default_rng(0)
    weights = classifier_weights(FIXED_HEADS, spec, seed=5)
    texts = random_texts(rng, [9] * 40, spec)
    ranges = calibrate_classifier(FIXED_HEADS, spec, weights, texts)
    graph = build_classifier_graphs(FIXED_HEADS, spec, weights, "int8", ranges)["classifier"]
    session = make_session(graph.SerializeToString(), 1)
    inputs = {"tokens": np.array(texts)} | ({"segments": np.zeros((40, 9), np.int64)} if spec.segments > 1 else {})
    found = session.run(None, inputs)[0]
    plain, simulated = (
        np.array([reference.logits(text) for text in texts])
        for reference in (Reference(FIXED_HEADS, spec, weights), RoundedReference(FIXED_HEADS, spec, weights, ranges))
    )
    errors = [np.sqrt(np.mean(np.square(logits - plain))) for logits in (found, simulated)]
    assert errors[0] < 2 * errors[1]
    assert errors[1] < 0.2 * plain.std()


def test_ranges_are_those_of_the_inputs():
    spec = classifier_spec()
    weights = classifier_weights(SPLIT_HEADS, spec, seed=5)
    texts = random_texts(np.random.default_rng(0), [7, 9], spec)
    ranges = calibrate_classifier(SPLIT_HEADS, spec, weights, texts)
    seen = {}

    class Watched(Reference):
        def _linear(self, x, name):
            low, high = seen.get(name, (0.0, 0.0))
            seen[name] = min(low, float(x.min())), max(high, float(x.max()))
            return super()._linear(x, name)

    for text in texts:
        Watched(SPLIT_HEADS, spec, weights).logits(text)
    for layer in range(3):
        least, greatest = seen[f"encoder.layers.{layer}.self_attn.qkv_proj"]
        low, high = ranges[f"encoder.layers.{layer}.self_attn.k_proj"]
        assert least - 1e-4 <= low <= 0.49 * least
        assert 0.49 * greatest <= high <= greatest + 1e-4
    assert set(ranges) == {name.removesuffix(".weight") for name in weights if is_product(name)} - qkv() | separate()
    with pytest.raises(DataError, match="no training sentence"):
        calibrate_classifier(SPLIT_HEADS, spec, weights, [])
    weights["pooler.weight"][0, 0] = np.nan
    with pytest.raises(ArtifactError, match="the input of classifier holds infinities or NaN"):
        calibrate_classifier(SPLIT_HEADS, spec, weights, texts)


def is_product(name):
    return name.endswith(".weight") and "norm" not in name and "embed" not in name


def qkv():
    return {f"encoder.layers.{layer}.self_attn.qkv_proj" for layer in range(3)}


def separate():
    return {f"encoder.layers.{layer}.self_attn.{kind}_proj" for layer in range(3) for kind in "qkv"}


def pytorch(spec, weights):
    model = Classifier(FIXED_HEADS, spec)
    model.load_state_dict({name: torch.from_numpy(weight) for name, weight in weights.items()})
    return model


def test_a_bundle_is_checked_against_pytorch(tmp_path):
    bundle = make_classifier_bundle(tmp_path / "fp32")
    int8 = make_classifier_bundle(tmp_path / "int8", "int8")
    spec = classifier_spec(48)
    weights = classifier_weights(FIXED_HEADS, spec, seed=3)
    texts = random_texts(np.random.default_rng(2), [5, 12, 9, 20], spec)
    reference = ClassifierReference(pytorch(spec, weights), texts)
    result = reference.judge(bundle, exact=True)
    assert (result["texts"], result["same_label"]) == (4, 4)
    assert reference.describe(result).startswith("labels 4 of 4 validation texts as PyTorch does (logits within ")
    assert 1e-4 < reference.judge(int8, exact=False)["largest_logit_difference"] < 1.0
    weights["classifier.bias"] += 1e-3
    wrong = ClassifierReference(pytorch(spec, weights), texts)
    with pytest.raises(ArtifactError, match="differs from PyTorch by 1.0e-03 in a logit"):
        wrong.judge(bundle, exact=True)


def test_a_bundle_takes_no_text_that_is_longer_than_its_positions():
    for positions, longest in (("learned", 40), ("sinusoidal", 2048)):
        spec = classifier_spec(positions=positions)
        assert describe_classifier(FIXED_HEADS, spec, 5000, {})["max_tokens"] == longest
        assert describe_classifier(FIXED_HEADS, spec, 30, {})["max_tokens"] == 30
