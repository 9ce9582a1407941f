"""The lexicon against IBM model 1 written out sentence by sentence; the shortlist made of it."""

from collections import defaultdict
from types import SimpleNamespace

import numpy as np
import pytest
from deployed import train_tokenizer

from hat.data.translation import lexicon
from hat.data.translation.lexicon import coverage, learn_lexicon, learn_shortlist
from hat.deploy.shortlist import Shortlist

END = 2
SIZE = 48


def translated_pairs(count=300, seed=0):
    """Sentences of tokens 4 ... 23, of which token s becomes s + 20, order shuffled; 47 is added now and then."""
    rng = np.random.default_rng(seed)
    pairs = []
    for _ in range(count):
        source = rng.integers(4, 24, rng.integers(1, 8)).tolist()
        target = [token + 20 for token in rng.permutation(source).tolist()] + [47] * int(rng.integers(0, 2))
        pairs.append(([*source, END], [*target, END]))
    return pairs


def model_1(pairs, iterations):
    """{(source token, target token): probability}, as in Brown et al.'s paper, by loops."""
    probability = defaultdict(lambda: 1.0)
    for _ in range(iterations):
        counts, totals = defaultdict(float), defaultdict(float)
        for source, target in pairs:
            for to in target[:-1]:
                whole = sum(probability[token, to] for token in source)
                for token in source:
                    counts[token, to] += probability[token, to] / whole
                    totals[token] += probability[token, to] / whole
        probability = {pair: count / totals[pair[0]] for pair, count in counts.items()}
    return probability


@pytest.mark.parametrize("chunk", [7, 2000])
def test_probabilities_are_those_of_model_1(monkeypatch, chunk):
    monkeypatch.setattr(lexicon, "CHUNK", chunk)
    pairs = translated_pairs(40)
    found = learn_lexicon(pairs, SIZE, SIZE).matrix.toarray()
    expected = np.zeros((SIZE, SIZE))
    for pair, probability in model_1(pairs, lexicon.ITERATIONS).items():
        expected[pair] = probability
    assert np.abs(found - expected).max() < 1e-12


def test_translations_are_found():
    learnt = learn_lexicon(translated_pairs(), SIZE, SIZE)
    offsets, tokens = learnt.likely(1, 0.5)
    lists = [tokens[offsets[token] : offsets[token + 1]].tolist() for token in range(SIZE)]
    assert lists[4:24] == [[token + 20] for token in range(4, 24)]
    assert lists[END] == [47]  # what nothing else explains
    assert all(not tokens for tokens in lists[24:])
    assert learnt.most_frequent(1).tolist() == [47]
    assert learnt.most_frequent(1000).size == 21  # those that never came are left out


def test_likely_keeps_the_best():
    learnt = learn_lexicon(translated_pairs(60), SIZE, SIZE)
    dense = learnt.matrix.toarray()
    offsets, tokens = learnt.likely(3, 0.01)
    for token in range(SIZE):
        expected = [to for to in np.argsort(-dense[token], kind="stable")[:3] if dense[token, to] >= 0.01]
        assert tokens[offsets[token] : offsets[token + 1]].tolist() == expected


def test_the_number_of_pairs_is_bounded_and_empty_ones_left_out(monkeypatch):
    pairs = translated_pairs(50)
    links = [len(source) * (len(target) - 1) for source, target in pairs]
    monkeypatch.setattr(lexicon, "LINKS", sum(links[:10]))
    found = learn_lexicon([([4, END], [END]), *pairs], SIZE, SIZE).matrix.toarray()
    monkeypatch.undo()
    assert np.array_equal(found, learn_lexicon(pairs[:10], SIZE, SIZE).matrix.toarray())


def test_the_shortlist_of_prepared_data(tmp_path, monkeypatch):
    model = train_tokenizer(tmp_path / "model")
    prepared = SimpleNamespace(
        source_vocabulary=SIZE, target_vocabulary=SIZE, source_lang="a", target_lang="b", sentencepiece=lambda _: model
    )
    for name, value in (("PER_TOKEN", 1), ("LEAST", 0.1), ("COMMON", 1)):
        monkeypatch.setattr(lexicon, name, value)
    shortlist = learn_shortlist(prepared, translated_pairs())
    assert shortlist.tokens([[10, END]]).tolist() == [0, 1, 2, 3, 10, 30, 47]  # special, itself, translated, common
    assert shortlist.tokens([[45, 10, END]]).tolist() == [0, 1, 2, 3, 10, 30, 45, 47]


def test_coverage():
    shortlist = Shortlist([0, 0, 0, 0, 0, 1, 2], [7, 9], [0, 1, 2, 3])
    pairs = [([4, END], [7, 9, END]), ([4, 5, END], [7, 9, END])]
    assert coverage(shortlist, pairs) == {"covered": 5 / 6, "mean_tokens": 5.5}
