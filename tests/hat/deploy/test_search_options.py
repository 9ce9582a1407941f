"""Every option of the search against fairseq's SequenceGenerator, alone and together, and impossible values."""

import dataclasses
import itertools

import numpy as np
import pytest
from deployed import WIDE_DECODER, WIDE_ENCODER, beam_search, make_spec, peaked_weights, random_sources, torch_model
from searches import END, PADDING, UNKNOWN, assert_same, fairseq_search, step_search

from hat.deploy.beams import Beams
from hat.deploy.search_options import SearchOptions
from hat.errors import UsageError

SPEC = make_spec()
LENGTHS = (2, 5, 9)


@pytest.fixture(scope="module")
def models():
    """(deployed search, torch model) pairs with the same weights."""
    return make_models(step_search)


@pytest.fixture(scope="module")
def loops():
    """The same with the search that makes all steps in one graph where it can."""
    return make_models(beam_search)


def make_models(make_search):
    pairs = []
    for seed, architecture in enumerate((WIDE_DECODER, WIDE_ENCODER) * 2):
        weights = peaked_weights(architecture, SPEC, seed)
        pairs.append((make_search(architecture, SPEC, weights), torch_model(architecture, SPEC, weights)))
    return pairs


@pytest.fixture(scope="module")
def search(models):
    return models[0][0]


def source_groups(seed, size=5):
    """Groups of sources of one length each, as fairseq's limits follow the longest of a batch."""
    rng = np.random.default_rng(seed)
    return [random_sources(rng, [length] * size) for length in LENGTHS]


def compare(pair, options, seed, prefixes=None):
    """Check one deployed batch against fairseq's batches of one length; returns the deployed hypotheses."""
    deployed, model = pair
    groups = source_groups(seed)
    found = deployed.search(sum(groups, []), options, prefixes=prefixes and prefixes * len(groups))
    assert_same(found, [pool for group in groups for pool in fairseq_search(model, group, options, prefixes)])
    return found


def tokens_of(found):
    return [hypothesis.tokens for pool in found for hypothesis in pool]


ALONE = {
    "no length penalty": {"lenpen": 0.0},
    "small length penalty": {"lenpen": 0.6},
    "large length penalty": {"lenpen": 2.0},
    "empty translations": {"min_len": 0},
    "longer": {"min_len": 7},
    "exactly as long": {"min_len": 6, "max_len_a": 0.0, "max_len_b": 6},
    "one token": {"max_len_a": 0.0, "max_len_b": 1},
    "nothing but the end": {"min_len": 0, "max_len_a": 0.0, "max_len_b": 0},
    "no unknown": {"unk_penalty": 1e4},
    "fewer unknown": {"unk_penalty": 0.7},
    "more unknown": {"unk_penalty": -2.5},
    "much unknown": {"unk_penalty": -20.0},
    "no bigram twice": {"no_repeat_ngram": 2},
    "no trigram twice": {"no_repeat_ngram": 3},
}


@pytest.mark.parametrize("beam", [1, 4, 5])
@pytest.mark.parametrize("values", ALONE.values(), ids=ALONE)
def test_one_option(models, values, beam):
    options = SearchOptions(beam, **values)
    found = [compare(pair, options, seed) for seed, pair in enumerate(models)]
    if "lenpen" not in values:
        usual = [pair[0].search(sum(source_groups(seed), []), SearchOptions(beam)) for seed, pair in enumerate(models)]
        assert any(tokens_of(left) != tokens_of(right) for left, right in zip(found, usual, strict=True))


@pytest.mark.parametrize("beam", [1, 4, 5])
@pytest.mark.parametrize("name", list(ALONE)[:7])
def test_one_option_of_the_search_in_a_loop(loops, name, beam):
    for seed, pair in enumerate(loops):
        compare(pair, SearchOptions(beam, **ALONE[name]), seed)


PREFIXES = {
    "one length": [[7, 8], [9, 9], [UNKNOWN, 10], [11, 0], [12, 13]],
    "ragged": [[7], [8, 9, 10], [11, 12], [13, 14, 15, 16, 17], [18]],
    "with an end": [[7, END], [8, 9, 10], [11, 12, END], [13], [14, 15, 16, END]],
}


@pytest.mark.parametrize("beam", [1, 4, 5])
@pytest.mark.parametrize("prefixes", PREFIXES.values(), ids=PREFIXES)
def test_prefixes(models, prefixes, beam):
    for seed, pair in enumerate(models):
        found = compare(pair, SearchOptions(beam), seed, prefixes)
        for prefix, pool in zip(itertools.cycle(prefixes), found, strict=False):
            assert len(pool) == beam
            assert all(hypothesis.tokens[: len(prefix)] == prefix for hypothesis in pool)


def test_a_sentence_without_a_prefix_is_translated_as_ever(search):
    """Also beside those that have one, where fairseq would allow it to be empty."""
    sources = random_sources(np.random.default_rng(1), [6] * 4)
    expected = search.search(sources, SearchOptions(4, min_len=5))
    found = search.search(sources, SearchOptions(4, min_len=5), prefixes=[[], [7, 8, 9], [], [END]])
    for index in (0, 2):
        assert tokens_of([found[index]]) == tokens_of([expected[index]])
    assert [hypothesis.tokens for hypothesis in found[3]] == [[END]] * 4


def test_a_prefix_up_to_the_limit_only_ends(models):
    options = SearchOptions(4, max_len_a=0.0, max_len_b=3)
    for prefix in ([7, 8, 9], [7, 8, 9, END]):
        found = compare(models[0], options, 1, [prefix] * 5)
        assert tokens_of(found) == [[7, 8, 9, END]] * len(found)


def random_options(rng):
    """Options, and prefixes of one length that have no token twice, so that fairseq can go on."""
    least = int(rng.integers(0, 6))
    options = SearchOptions(
        beam=int(rng.integers(1, 7)),
        lenpen=float(rng.choice([0.0, 0.6, 1.0, 2.0])),
        max_len_a=float(rng.choice([0.0, 0.5, 1.2, 2.0])),
        max_len_b=int(rng.integers(6, 12)),
        min_len=least,
        unk_penalty=float(rng.choice([0.0, 1.0, -1.0, -3.0, -6.0])),
        no_repeat_ngram=int(rng.choice([0, 2, 3, 4])),
    )
    length = int(rng.integers(0, 5))
    words = [UNKNOWN, *range(4, 50)]
    return options, [rng.choice(words, length, replace=False).tolist() for _ in range(5)] if length else None


@pytest.mark.parametrize("seed", range(60))
def test_any_options_together(models, seed):
    options, prefixes = random_options(np.random.default_rng(seed))
    compare(models[seed % len(models)], options, seed, prefixes)


def repeated(tokens, size):
    ngrams = [tuple(tokens[at : at + size]) for at in range(len(tokens) - size + 1)]
    return len(set(ngrams)) < len(ngrams)


@pytest.mark.parametrize("size", [1, 2, 3])
def test_no_ngram_twice_in_long_translations(search, size):
    """Also with n-grams of one token, which fairseq does not ban."""
    sources = random_sources(np.random.default_rng(2), [5, 9, 5])
    for options, repeats in ((SearchOptions(4, min_len=30, max_len_b=60), True), (None, False)):
        options = options or SearchOptions(4, min_len=30, max_len_b=60, no_repeat_ngram=size)
        found = tokens_of(search.search(sources, options))
        assert all(len(tokens) > 30 for tokens in found)
        assert any(repeated(tokens[:-1], size) for tokens in found) == repeats


def test_enough_candidates_are_asked_for_to_replace_all_banned_ones():
    beams = Beams([9], SearchOptions(1, no_repeat_ngram=2), PADDING, END, UNKNOWN)
    rare = np.full((1, 3), -9.0, np.float32)
    asked = []
    for token in (5, 6, 5, 7, 5):
        asked.append(beams.candidates)
        scores = np.linspace(-0.1, -1.0, beams.candidates, dtype=np.float32)[None]
        beams.advance(scores, np.array([[token, *range(20, 20 + beams.candidates - 1)]]), rare)
    assert asked == [5, 5, 5, 6, 5]  # after 5 6 5 no 6 can follow
    assert beams.candidates == 7  # after 5 6 5 7 5 neither 6 nor 7
    beams.advance(scores[:, :3], np.array([[7, 6, 30]]), rare)
    assert beams.last_tokens.tolist() == [[30]]


WRONG_OPTIONS = {
    "beam must be at least 1 and whole, not 0": {"beam": 0},
    "beam must be at least 1 and whole, not 2.0": {"beam": 2.0},
    "beam must be at least 1 and whole, not True": {"beam": True},
    "min_len must be at least 0 and whole, not -1": {"min_len": -1},
    "max_len_b must be at least 0 and whole, not '9'": {"max_len_b": "9"},
    "no_repeat_ngram must be at least 0 and whole, not -2": {"no_repeat_ngram": -2},
    "lenpen must be a finite number, not nan": {"lenpen": float("nan")},
    "unk_penalty must be a finite number, not inf": {"unk_penalty": float("inf")},
    "max_len_a must be a finite number, not None": {"max_len_a": None},
    "max_len_a must be at least 0, not -0.5": {"max_len_a": -0.5},
}


@pytest.mark.parametrize(("message", "values"), WRONG_OPTIONS.items(), ids=WRONG_OPTIONS)
def test_impossible_options(message, values):
    with pytest.raises(UsageError, match=f"^{message}$"):
        SearchOptions(**{"beam": 4, **values})


def test_options_do_not_change():
    with pytest.raises(dataclasses.FrozenInstanceError):
        SearchOptions(4).beam = 5


WRONG_SEARCHES = {
    "beam 50 is above 49": {"options": SearchOptions(50)},
    "min_len 14 is above 13, the most tokens that a source of 3 tokens": {"options": SearchOptions(4, min_len=14)},
    "prefix 0 has 4 tokens, more than the 3": {
        "options": SearchOptions(4, max_len_a=0.0, max_len_b=3),
        "prefixes": [[7, 8, 9, 10]],
    },
    "prefix 0 holds the id 50, ": {"prefixes": [[7, 50]]},
    "prefix 0 holds the id -1, ": {"prefixes": [[-1]]},
    "prefix 0 holds 1, which is padding": {"prefixes": [[7, PADDING]]},
    "prefix 0 repeats 2 tokens": {"options": SearchOptions(4, no_repeat_ngram=2), "prefixes": [[7, 8, 7, 8]]},
    "2 prefixes for 1 sources": {"prefixes": [[7], [8]]},
    "source 0 holds the id 50, ": {"sources": [[5, 50, END]]},
    "source 0 holds the id -3, ": {"sources": [[-3, END]]},
    "source 0 has 0 tokens": {"sources": [[]]},
    "source 0 has 2001 tokens": {"sources": [[5] * 2000 + [END]]},
    "forced_steps 0 must be 1 to 2000": {"forced_steps": 0},
    "forced_steps are for timing, without prefixes": {"forced_steps": 4, "prefixes": [[7]]},
}


@pytest.mark.parametrize(("message", "arguments"), WRONG_SEARCHES.items(), ids=WRONG_SEARCHES)
def test_impossible_searches(search, message, arguments):
    with pytest.raises(UsageError, match=f"^{message}"):
        search.search(**{"sources": [[5, 6, END]], "options": SearchOptions(4), **arguments})


def test_no_translation_without_repeats_is_long_enough(search):
    options = SearchOptions(2, min_len=60, max_len_b=70, no_repeat_ngram=1)  # 48 tokens may be chosen
    with pytest.raises(UsageError, match="min_len 60 tokens was found with no_repeat_ngram 1"):
        search.search([[5, 6, END]], options)
