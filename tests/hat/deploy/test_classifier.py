"""hat.Classifier on bundles with random weights."""

import json
import warnings

import numpy as np
import pytest
from classifiers import (
    FIXED_HEADS,
    KINDS,
    LABELS,
    PAIRS,
    TEXTS,
    Reference,
    classifier_spec,
    classifier_weights,
    make_classifier_bundle,
    wordpiece_file,
)
from deployed import make_bundle

from hat import Classifier, Translator
from hat.deploy.bundle import open_bundle
from hat.deploy.text_encoders import open_text_encoder
from hat.errors import ArtifactError, DataError, UsageError


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return make_classifier_bundle(tmp_path_factory.mktemp("bundles") / "fp32")


@pytest.fixture(scope="module")
def bert(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bundles")
    return make_classifier_bundle(folder / "bert", tokenizer=wordpiece_file(folder / "words.json"), **KINDS["BERT"])


def softmax(logits):
    return np.exp(logits) / np.exp(logits).sum()


def test_probabilities_are_those_of_the_network(bundle):
    spec = classifier_spec(48)
    reference = Reference(FIXED_HEADS, spec, classifier_weights(FIXED_HEADS, spec, seed=3))
    encoder = open_text_encoder(bundle / "sentencepiece.model.xz")
    expected = [softmax(reference.logits(encoder.encode(text))) for text in TEXTS]
    classifier = Classifier(bundle, batch_tokens=30)
    found = classifier.probabilities(TEXTS)
    assert [list(each) for each in found] == [list(LABELS)] * len(TEXTS)
    np.testing.assert_allclose([list(each.values()) for each in found], expected, atol=1e-4)
    labels = classifier.classify(TEXTS)
    assert [label for label, _ in labels] == [LABELS[row.argmax()] for row in expected]
    assert [probability for _, probability in labels] == pytest.approx([row.max() for row in expected], abs=1e-4)
    assert classifier.classify([]) == []


def test_pairs_have_segments_behind_the_first_separator(bert):
    spec = classifier_spec(json.loads((bert / "bundle.json").read_text())["spec"]["vocabulary"], **KINDS["BERT"])
    reference = Reference(FIXED_HEADS, spec, classifier_weights(FIXED_HEADS, spec, seed=3))
    encoder = open_text_encoder(bert / "tokenizer.json")
    expected = []
    for first, second in PAIRS:
        ids, head = encoder.encode(first, second, max_tokens=40), len(encoder.encode(first))
        assert len(ids) < 40  # none was cut
        expected.append(softmax(reference.logits(ids, [0] * head + [1] * (len(ids) - head))))
    found = Classifier(bert).probabilities(PAIRS)
    np.testing.assert_allclose([list(each.values()) for each in found], expected, atol=1e-4)


def test_streams_read_no_further_than_their_window(bundle):
    classifier, read = Classifier(bundle), []

    def texts():
        for text in TEXTS * 2:
            read.append(text)
            yield text

    stream = classifier.classify_stream(texts(), window=3)
    assert read == []
    assert next(stream) == pytest.approx(classifier.classify(TEXTS[:1])[0])
    assert len(read) == 3
    assert [label for label, _ in stream] == [label for label, _ in classifier.classify(TEXTS * 2)[1:]]
    with pytest.raises(UsageError, match="window must be at least 1"):
        next(classifier.probabilities_stream(TEXTS, window=0))


def test_a_long_text_is_cut_with_a_warning(bundle):
    classifier = Classifier(bundle)
    long = " ".join(TEXTS)
    with pytest.warns(UserWarning, match="'The old man reads .* has more than 40 tokens"):
        found = classifier.probabilities([long])
    ids = open_text_encoder(bundle / "sentencepiece.model.xz").encode(long, max_tokens=40)
    np.testing.assert_allclose(list(found[0].values()), softmax(classifier.logits([ids])[0]), atol=1e-6)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(classifier.token_ids(TEXTS[-1])) <= 40


def test_int8_stays_close_to_fp32_and_a_batch_changes_little(bundle, tmp_path):
    ids = [Classifier(bundle).token_ids(text) for text in TEXTS]
    int8 = make_classifier_bundle(tmp_path / "int8", "int8")
    expected, alone = Classifier(bundle).logits(ids), Classifier(int8, batch_tokens=1).logits(ids)
    assert 1e-4 < np.abs(alone - expected).max() < 0.3
    assert np.corrcoef(alone.ravel(), expected.ravel())[0, 1] > 0.995
    np.testing.assert_allclose(Classifier(int8).logits(ids), alone, atol=0.05)
    assert open_bundle(int8).size_bytes < open_bundle(bundle).size_bytes


def test_blank_and_wrong_texts(bundle, bert):
    classifier = Classifier(bundle)
    with pytest.raises(DataError, match="text 2 is blank; leave it out"):
        classifier.classify(["A pear.", " \t"])
    with pytest.raises(DataError, match="text 3 is blank"):
        list(classifier.classify_stream(["A pear.", "A pear.", ""], window=1))
    with pytest.raises(DataError, match="text 1 is blank"):
        Classifier(bert).classify([("A pear.", "")])
    for wrong in ("A pear.", [5], [("A", "b", "c")]):
        with pytest.raises(TypeError):
            classifier.classify(wrong)


def test_bundles_of_another_task(bundle, tmp_path):
    translator = make_bundle(tmp_path / "translator")
    with pytest.raises(ArtifactError, match="is a bundle for translation, not for classification; use it with hat-tr"):
        Classifier(translator)
    with pytest.raises(ArtifactError, match="is a bundle for classification, not for translation; use it with hat-cl"):
        Translator(bundle)
    assert open_bundle(bundle).task == "classification"
    assert open_bundle(translator).task == "translation"


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"task": "parsing"}, "bundles of the task 'parsing' are unknown to this version; update HAT"),
        ({"task": 5}, "bundles of the task 5 are unknown"),
        ({"labels": "yes", "max_tokens": None}, "missing or ill-typed labels, max_tokens"),
        ({"labels": ["yes"]}, "labels are not two different names or more"),
        ({"labels": ["yes", "yes"]}, "labels are not two different names or more"),
        ({"max_tokens": 2}, "max_tokens is below 3"),
        ({"spec": {}}, "missing or ill-typed spec.vocabulary, spec.padding, spec.separator, spec.segments"),
        ({"tokenizers": {}}, "tokenizers.text names no file of the bundle"),
        ({"graphs": {"encoder": "classifier.onnx"}}, "graphs.classifier names no file of the bundle"),
    ],
)
def test_impossible_descriptions(bundle, changes, complaint):
    path = bundle / "bundle.json"
    before = path.read_text()
    path.write_text(json.dumps({**json.loads(before), **changes}))
    try:
        with pytest.raises(ArtifactError, match=complaint):
            Classifier(bundle)
    finally:
        path.write_text(before)


def test_impossible_options(bundle):
    with pytest.raises(UsageError, match="4096 threads are more than the"):
        Classifier(bundle, threads=4096)
    with pytest.raises(UsageError, match="batch_tokens must be at least 1"):
        Classifier(bundle, batch_tokens=0)
