"""Beam search against brute force and against fairseq's SequenceGenerator."""

import itertools

import numpy as np
import pytest
import torch
from deployed import (
    EQUAL_WIDTHS,
    WIDE_DECODER,
    WIDE_ENCODER,
    beam_search,
    left_padded,
    make_spec,
    peaked_weights,
    random_sources,
    torch_model,
)

from hat.deploy.beams import Beams
from hat.deploy.search_options import SearchOptions

PADDING, END = 1, 2


def as_pairs(hypotheses):
    return [(hypothesis.tokens, hypothesis.score) for hypothesis in hypotheses]


@pytest.mark.parametrize("lenpen", [1.0, 0.0, 2.0])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_beam_that_holds_everything_finds_the_best_of_all_translations(seed, lenpen):
    """Tiny vocabulary, at most three tokens: all 1 + ... sequences are scored by PyTorch."""
    spec = make_spec(vocabulary=7)
    weights = peaked_weights(WIDE_DECODER, spec, seed, scale=1.0)
    source, longest = [4, 5, 6, 2], 3
    words = [token for token in range(7) if token not in (PADDING, END)]
    model = torch_model(WIDE_DECODER, spec, weights)
    scored = []
    for length in range(1, longest + 1):
        for sequence in itertools.product(words, repeat=length):
            tokens = [*sequence, END]
            with torch.no_grad():
                logits = model(torch.tensor([source]), torch.tensor([[END, *sequence]]))[0]
            total = logits.log_softmax(-1)[range(len(tokens)), tokens].sum().item()
            scored.append((tokens, total / len(tokens) ** lenpen))
    best = sorted(scored, key=lambda pair: -pair[1])
    beam = len(scored)
    found = as_pairs(
        beam_search(WIDE_DECODER, spec, weights).search([source], SearchOptions(beam, lenpen, 0, longest))[0]
    )
    assert len(found) == beam
    assert found[0][0] == best[0][0]
    assert dict((tuple(tokens), score) for tokens, score in found) == pytest.approx(
        dict((tuple(tokens), score) for tokens, score in scored), abs=1e-4
    )


def fairseq_search(model, sources, beam, lenpen, max_len_a, max_len_b):
    """All hypotheses, best first, by fairseq's own generator with full (not incremental) decoding."""
    from fairseq.data import Dictionary
    from fairseq.sequence_generator import SequenceGenerator

    class Encoder(torch.nn.Module):
        def forward_torchscript(self, net_input):
            return model.encoder(net_input["src_tokens"])

        def reorder_encoder_out(self, output, order):
            return output.select(order)

    class Decoder(torch.nn.Module):
        def forward(self, tokens, encoder_out):
            return model.decoder(tokens, encoder_out), {"attn": [None]}

    class Model(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.encoder, self.decoder = Encoder(), Decoder()

        def max_decoder_positions(self):
            return 1000

        def get_normalized_probs(self, output, log_probs, sample):
            return output[0].log_softmax(-1)

    dictionary = Dictionary()
    for token in range(4, model.spec.target_vocabulary):
        dictionary.add_symbol(f"token{token}")
    options = {"beam_size": beam, "len_penalty": lenpen, "max_len_a": max_len_a, "max_len_b": max_len_b}
    sample = {"src_tokens": left_padded(sources), "src_lengths": torch.tensor([len(source) for source in sources])}
    with torch.no_grad():
        generator = SequenceGenerator([Model()], dictionary, max_len=1000, **options)
        found = generator.generate([], {"net_input": sample})
    return [[(hypothesis["tokens"].tolist(), hypothesis["score"].item()) for hypothesis in pool] for pool in found]


@pytest.mark.parametrize("architecture", [WIDE_DECODER, WIDE_ENCODER, EQUAL_WIDTHS])
@pytest.mark.parametrize(("beam", "lenpen"), [(1, 1.0), (2, 0.6), (5, 1.0), (4, 1.5)])
def test_same_hypotheses_as_fairseq(architecture, beam, lenpen):
    spec = make_spec()
    lengths = set()
    for seed in range(1, 7):
        weights = peaked_weights(architecture, spec, seed)
        sources = random_sources(np.random.default_rng(seed), [7] * 4)
        expected = fairseq_search(torch_model(architecture, spec, weights), sources, beam, lenpen, 1.2, 10)
        found = beam_search(architecture, spec, weights).search(sources, SearchOptions(beam, lenpen))
        for pool, expected_pool in zip(found, expected, strict=True):
            assert [hypothesis.tokens for hypothesis in pool] == [tokens for tokens, _ in expected_pool]
            assert [hypothesis.score for hypothesis in pool] == pytest.approx([s for _, s in expected_pool], abs=1e-3)
            lengths |= {len(hypothesis.tokens) for hypothesis in pool}
    assert len(lengths) > 1


def test_a_translation_does_not_depend_on_its_batch():
    """Lengths from 2 to 30 in one batch, of which finished sentences leave; each alone gives the same."""
    spec = make_spec()
    search = beam_search(WIDE_DECODER, spec, peaked_weights(WIDE_DECODER, spec, seed=2))
    sources = random_sources(np.random.default_rng(7), (2, 30, 5, 9, 17, 3, 24, 4, 12))
    together = search.search(sources, SearchOptions(4))
    assert len({len(pool[0].tokens) for pool in together}) > 2
    for source, pool in zip(sources, together, strict=True):
        alone = search.search([source], SearchOptions(4))[0]
        assert [hypothesis.tokens for hypothesis in alone] == [hypothesis.tokens for hypothesis in pool]
        assert [h.score for h in alone] == pytest.approx([h.score for h in pool], abs=1e-4)


def test_long_translations_end_at_the_limit_with_end_of_sentence():
    spec = make_spec()
    weights = peaked_weights(WIDE_DECODER, spec, seed=2)
    weights["encoder.embed_tokens.weight"][END] = -10 * weights["encoder.embed_tokens.weight"][4]
    search = beam_search(WIDE_DECODER, spec, weights)
    sources = [[5, 6, 2], [5, 6, 7, 8, 9, 2]]
    for pool, source in zip(search.search(sources, SearchOptions(3, max_len_a=1.5, max_len_b=2)), sources, strict=True):
        for hypothesis in pool:
            assert hypothesis.tokens[-1] == END
            assert END not in hypothesis.tokens[:-1]
            assert len(hypothesis.tokens) <= int(1.5 * len(source) + 2) + 1


def test_forced_steps_makes_exactly_that_many_without_end():
    spec = make_spec()
    search = beam_search(WIDE_DECODER, spec, peaked_weights(WIDE_DECODER, spec, seed=2))
    calls = []
    run_step = search._run_step
    search._run_step = lambda *arguments: calls.append(arguments) or run_step(*arguments)
    for pool in search.search([[5, 6, 2], [7, 2]], SearchOptions(4), forced_steps=9):
        assert len(pool) == 4
        assert all(len(hypothesis.tokens) == 9 and END not in hypothesis.tokens for hypothesis in pool)
    assert len(calls) == 9


def test_nothing_to_translate():
    spec = make_spec()
    assert (
        beam_search(WIDE_DECODER, spec, peaked_weights(WIDE_DECODER, spec, seed=2)).search([], SearchOptions(4)) == []
    )


def test_finished_sentences_leave_the_batch():
    """Three sentences of which two end at once (beam 1): the third goes on alone."""
    beams = Beams([5, 5, 5], beam=1, lenpen=1.0, padding=PADDING, end_of_sentence=END)
    end_scores = np.full((3, 1), -9.0, np.float32)
    scores, tokens = np.array([[-0.1, -3.0]] * 3, np.float32), np.array([[7, 8], [8, 7], [9, 7]])
    beams.advance(scores, tokens, end_scores)
    assert beams.shrink() is None
    beams.advance(scores, np.array([[END, 7], [8, END], [END, 9]]), end_scores)
    assert beams.shrink().tolist() == [1]
    assert beams.origins.tolist() == [1]
    assert beams.last_tokens.tolist() == [[8]]
    beams.advance(scores[:1], np.array([[END, 9]]), end_scores[:1])
    assert beams.finished
    assert [pool[0].tokens for pool in beams.hypotheses()] == [[7, END], [8, 8, END], [9, END]]
    assert beams.hypotheses()[0][0].score == pytest.approx(-0.1)
