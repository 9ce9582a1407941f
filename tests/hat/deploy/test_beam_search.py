"""The deployed searches with their usual options against brute force and against fairseq's SequenceGenerator."""

import itertools

import numpy as np
import pytest
import torch
from deployed import (
    EQUAL_WIDTHS,
    WIDE_DECODER,
    WIDE_ENCODER,
    beam_search,
    make_spec,
    peaked_weights,
    random_sources,
    torch_model,
)
from searches import END, PADDING, UNKNOWN, assert_same, fairseq_search, step_search

from hat.deploy.beams import Beams
from hat.deploy.search_options import SearchOptions

SEARCHES = pytest.mark.parametrize("make_search", [beam_search, step_search])


def full_decoding(model, source, options, limit):
    """The hypotheses of Beams where PyTorch gives the log-probabilities of all tokens, prefix by prefix."""
    beams = Beams([limit], options, PADDING, END, UNKNOWN)
    histories = torch.empty((options.beam, 0), dtype=torch.long)
    while not beams.finished:
        histories = torch.cat([histories[beams.origins], torch.from_numpy(beams.last_tokens).reshape(-1, 1)], dim=1)
        with torch.no_grad():
            logits = model(torch.tensor([source] * options.beam), histories)[:, -1]
        scores, tokens = logits.log_softmax(-1).sort(dim=-1, descending=True)
        wanted = logits.log_softmax(-1).gather(1, torch.from_numpy(beams.wanted_tokens))
        beams.advance(scores.numpy(), tokens.numpy(), wanted.numpy())
    return beams.hypotheses()[0]


@pytest.mark.parametrize("lenpen", [1.0, 0.0, 2.0])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_beam_that_holds_everything_finds_the_best_of_all_translations(seed, lenpen):
    """Tiny vocabulary, at most three tokens: all 1 + ... sequences are scored by PyTorch."""
    spec = make_spec(vocabulary=7)
    source, longest = [4, 5, 6, 2], 3
    words = [token for token in range(7) if token not in (PADDING, END)]
    model = torch_model(WIDE_DECODER, spec, peaked_weights(WIDE_DECODER, spec, seed, scale=1.0))
    scored = []
    for length in range(1, longest + 1):
        for sequence in itertools.product(words, repeat=length):
            tokens = [*sequence, END]
            with torch.no_grad():
                logits = model(torch.tensor([source]), torch.tensor([[END, *sequence]]))[0]
            total = logits.log_softmax(-1)[range(len(tokens)), tokens].sum().item()
            scored.append((tokens, total / len(tokens) ** lenpen))
    best = sorted(scored, key=lambda pair: -pair[1])
    found = full_decoding(model, source, SearchOptions(len(scored), lenpen), longest)
    assert len(found) == len(scored)
    assert found[0].tokens == best[0][0]
    assert {tuple(hypothesis.tokens): hypothesis.score for hypothesis in found} == pytest.approx(
        {tuple(tokens): score for tokens, score in scored}, abs=1e-4
    )


@SEARCHES
@pytest.mark.parametrize("architecture", [WIDE_DECODER, WIDE_ENCODER, EQUAL_WIDTHS])
@pytest.mark.parametrize(("beam", "lenpen"), [(1, 1.0), (2, 0.6), (5, 1.0), (4, 1.5), (3, 0.0)])
def test_same_hypotheses_as_fairseq(make_search, architecture, beam, lenpen):
    spec, options = make_spec(), SearchOptions(beam, lenpen)
    lengths = set()
    for seed in range(1, 7):
        weights = peaked_weights(architecture, spec, seed)
        sources = random_sources(np.random.default_rng(seed), [7] * 4)
        found = make_search(architecture, spec, weights).search(sources, options)
        assert_same(found, fairseq_search(torch_model(architecture, spec, weights), sources, options))
        lengths |= {len(hypothesis.tokens) for pool in found for hypothesis in pool}
    assert len(lengths) > 1


@SEARCHES
@pytest.mark.parametrize("beam", [1, 4, 5])
def test_a_thousand_sentences_as_fairseq(make_search, beam):
    """Batches of one length, as fairseq's limits follow the longest source; ours are all in one batch."""
    spec, options = make_spec(vocabulary=200), SearchOptions(beam)
    weights = peaked_weights(WIDE_DECODER, spec, seed=5)
    model, rng = torch_model(WIDE_DECODER, spec, weights), np.random.default_rng(beam)
    groups = [random_sources(rng, [length] * 126, vocabulary=200) for length in range(2, 10)]
    found = make_search(WIDE_DECODER, spec, weights).search(sum(groups, []), options)
    assert len(found) == 1008
    assert len({len(pool[0].tokens) for pool in found}) > 5
    assert_same(found, [pool for group in groups for pool in fairseq_search(model, group, options)])


@SEARCHES
def test_a_translation_does_not_depend_on_its_batch(make_search):
    """Lengths from 2 to 30 in one batch, of which finished sentences leave; each alone gives the same."""
    spec = make_spec()
    search = make_search(WIDE_DECODER, spec, peaked_weights(WIDE_DECODER, spec, seed=2))
    sources = random_sources(np.random.default_rng(7), (2, 30, 5, 9, 17, 3, 24, 4, 12))
    together = search.search(sources, SearchOptions(4))
    assert len({len(pool[0].tokens) for pool in together}) > 2
    for source, pool in zip(sources, together, strict=True):
        alone = search.search([source], SearchOptions(4))[0]
        assert_same([alone], [[(hypothesis.tokens, hypothesis.score) for hypothesis in pool]])


@SEARCHES
def test_long_translations_end_at_the_limit_with_end_of_sentence(make_search):
    spec = make_spec()
    weights = peaked_weights(WIDE_DECODER, spec, seed=2)
    weights["encoder.embed_tokens.weight"][END] = -10 * weights["encoder.embed_tokens.weight"][4]
    search = make_search(WIDE_DECODER, spec, weights)
    sources = [[5, 6, 2], [5, 6, 7, 8, 9, 2]]
    options = SearchOptions(3, max_len_a=1.5, max_len_b=2)
    for pool, source in zip(search.search(sources, options), sources, strict=True):
        for hypothesis in pool:
            assert hypothesis.tokens[-1] == END
            assert END not in hypothesis.tokens[:-1]
            assert len(hypothesis.tokens) <= int(1.5 * len(source) + 2) + 1


@SEARCHES
def test_forced_steps_makes_exactly_that_many_without_end(make_search):
    spec = make_spec()
    search = make_search(WIDE_DECODER, spec, peaked_weights(WIDE_DECODER, spec, seed=2))
    for pool in search.search([[5, 6, 2], [7, 2]], SearchOptions(4), forced_steps=9):
        assert len(pool) == 4
        assert all(len(hypothesis.tokens) == 9 and END not in hypothesis.tokens for hypothesis in pool)


@SEARCHES
def test_nothing_to_translate(make_search):
    spec = make_spec()
    search = make_search(WIDE_DECODER, spec, peaked_weights(WIDE_DECODER, spec, seed=2))
    assert search.search([], SearchOptions(4)) == []


def test_finished_sentences_leave_the_batch():
    """Three sentences of which two end at once (beam 1): the third goes on alone."""
    beams = Beams([5, 5, 5], SearchOptions(1), PADDING, END, UNKNOWN)
    rare = np.full((3, 3), -9.0, np.float32)
    likely_end = np.array([[-0.1, -9.0, -0.1]] * 3, np.float32)  # </s>, unknown, and </s> as nothing is forced
    scores, tokens = np.array([[-0.2, -3.0]] * 3, np.float32), np.array([[7, 8], [8, 7], [9, 7]])
    beams.advance(scores, tokens, rare)
    assert beams.shrink() is None
    assert beams.wanted_tokens.tolist() == [[END, UNKNOWN, END]] * 3
    beams.advance(scores, tokens, np.where([[True], [False], [True]], likely_end, rare))
    assert beams.shrink().tolist() == [1]
    assert beams.origins.tolist() == [1]
    assert beams.last_tokens.tolist() == [[8]]
    beams.advance(scores[:1], tokens[:1], likely_end[:1])
    assert beams.finished
    assert [pool[0].tokens for pool in beams.hypotheses()] == [[7, END], [8, 8, END], [9, END]]
    assert beams.hypotheses()[0][0].score == pytest.approx(-0.15)
