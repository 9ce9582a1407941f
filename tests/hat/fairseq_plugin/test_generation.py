"""translate_ids, that is fairseq's SequenceGenerator on our model: against teacher forcing and exhaustive search."""

import itertools
from types import SimpleNamespace

import pytest
import torch
from tiny import TINY_SPACE, VOCABULARY, tiny_spec

from hat.fairseq_plugin.generation import translate_ids
from hat.models.translation import SuperTransformer

END = 2


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    folder = tmp_path_factory.mktemp("dictionaries")
    for lang in ("de", "en"):
        (folder / f"dict.{lang}.txt").write_text("".join(f"w{index} 1\n" for index in range(4, VOCABULARY)))
    return SimpleNamespace(directory=folder, source_lang="de", target_lang="en")


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(6)
    supermodel = SuperTransformer(TINY_SPACE, tiny_spec())
    with torch.no_grad():  # </s> is very likely after some prefixes, so that hypotheses differ in length
        supermodel.encoder.embed_tokens.weight[END] *= 8
    return supermodel.extract(TINY_SPACE.largest()).eval()


@pytest.fixture(scope="module")
def sources():
    generator = torch.Generator().manual_seed(6)
    lengths = (3, 9, 1, 5, 5, 14)
    return [torch.randint(4, VOCABULARY, (length,), generator=generator).tolist() for length in lengths]


def log_probs(model, source, tokens):
    """log P of each of `tokens` (ending with </s> or not) given those before it, without any cache."""
    inputs = torch.tensor([[END, *tokens[:-1]]])
    with torch.no_grad():
        logits = model(torch.tensor([[*source, END]]), inputs)
    return logits.log_softmax(-1)[0].gather(1, torch.tensor(tokens)[:, None]).squeeze(1)


@pytest.mark.parametrize("lenpen", [1.0, 0.6])
def test_scores_are_those_of_teacher_forcing(model, prepared, sources, lenpen):
    found = translate_ids(model, prepared, sources, beam=4, lenpen=lenpen, max_len_a=0, max_len_b=12)
    assert len({len(tokens) for tokens, _ in found}) > 1
    for source, (tokens, score) in zip(sources, found, strict=True):
        whole = [*tokens, END]
        assert score == pytest.approx(float(log_probs(model, source, whole).sum()) / len(whole) ** lenpen, abs=1e-4)


def test_beam_of_one_takes_the_likeliest_token_each_step(model, prepared, sources):
    found = translate_ids(model, prepared, sources, beam=1, max_len_a=0, max_len_b=8)
    for source, (tokens, _) in zip(sources, found, strict=True):
        expected = []
        while len(expected) < 8:
            inputs = torch.tensor([[END, *expected]])
            with torch.no_grad():
                logits = model(torch.tensor([[*source, END]]), inputs)[0, -1]
            logits[1] = -torch.inf  # never padding
            if not expected:
                logits[END] = -torch.inf  # fairseq's min_len: at least one token
            if int(logits.argmax()) == END:
                break
            expected.append(int(logits.argmax()))
        assert tokens == expected


def test_a_beam_as_wide_as_the_vocabulary_finds_the_best_of_all(model, prepared, sources):
    found = translate_ids(model, prepared, sources, beam=VOCABULARY, max_len_a=0, max_len_b=1)
    words = [index for index in range(VOCABULARY) if index not in (1, END)]
    for source, (tokens, score) in zip(sources, found, strict=True):
        scores = {
            (word,): float(log_probs(model, source, [word, END]).sum()) / 2 for (word,) in itertools.product(words)
        }
        best = max(scores, key=scores.get)
        assert tuple(tokens) == best
        assert score == pytest.approx(scores[best], abs=1e-4)
