"""The generated reviews: splits and seeds, verdicts worked out again from words, and how little single words say."""

import collections
import random
import re

import pytest
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression

from hat.data.classification import review_words as words
from hat.data.classification.reviews import KINDS, generate
from hat.errors import UsageError

NEGATION = re.compile("is not|far from|there is nothing|hardly")


def test_splits_are_disjoint_and_of_the_asked_size():
    splits = generate(3, 2000)
    assert {split: len(rows) for split, rows in splits.items()} == {"train": 2000, "valid": 1000, "test": 1000}
    texts = [text for rows in splits.values() for text, _ in rows]
    assert len(set(texts)) == len(texts)
    counts = collections.Counter(label for _, label in splits["train"])
    assert set(counts) == {"negative", "neutral", "positive"}
    assert min(counts.values()) > 600


def test_same_seed_same_reviews_other_seed_other_reviews():
    assert generate(1, 50) == generate(1, 50)
    assert generate(1, 50) != generate(2, 50)
    assert generate(1, 60)["train"][:50] == generate(1, 50)["train"]  # and the same held-out ones


def test_they_are_sentences_of_a_few_hundred_words():
    rows = generate(4, 3000)["train"]
    for text, _ in rows:
        assert text == " ".join(text.split())
        assert text[0].isupper()
        assert text[-1] == "."
        assert not set(text) & set("{}|_")
    assert 150 < len({word.strip(".,;").lower() for text, _ in rows for word in text.split()}) < 500


def test_ratings_follow_from_their_numbers():
    rating, rng = KINDS[2], random.Random(5)
    for verdict in (-1, 0, 1) * 200:
        text = rating(rng, verdict, "phone")
        own = next(part for part in text.split(", ") if "gave" not in part)
        points, scale = [words.NUMBERS.index(word) for word in own.split() if word in words.NUMBERS]
        assert (points / scale > 0.7) - (points / scale < 0.4) == verdict, text


@pytest.mark.parametrize("kind", KINDS[:2])
def test_negations_turn_the_verdict_and_the_right_clause_counts(kind):
    rng = random.Random(6)
    for verdict in (-1, 1) * 200:
        text = kind(rng, verdict, "phone")
        clause = counting_clause(text)
        adjective_verdict = 1 if any(f" {word}" in clause for word in words.GOOD) else -1
        assert adjective_verdict * (-1) ** len(NEGATION.findall(clause)) == verdict, text


def counting_clause(text):
    """The clause that counts: what follows another one, or what is before these words."""
    for mark in (", although", ", even if"):
        text = text.split(mark)[0]
    return text.rsplit(", ", 1)[-1]


def test_single_words_say_little():
    splits = generate(1, 4000)
    vectorizer = CountVectorizer()
    (texts, labels), (others, expected) = (zip(*splits[split], strict=True) for split in ("train", "test"))
    model = LogisticRegression(max_iter=200, C=0.1).fit(vectorizer.fit_transform(texts), labels)
    assert model.score(vectorizer.transform(others), expected) < 0.7


def test_too_many_are_refused(monkeypatch):
    monkeypatch.setattr("hat.data.classification.reviews._review", lambda rng, _verdict: str(rng.randrange(2500)))
    with pytest.raises(UsageError, match="synthetic_sentences: 4000 is too many; the generator gave only"):
        generate(1, 4000)
