"""Searches to compare: the deployed one, step by step, and fairseq's own."""

import pytest
import torch
from deployed import left_padded

from hat.deploy.building.graphs import build_graphs
from hat.deploy.sessions import make_session
from hat.deploy.source_encoder import SourceEncoder
from hat.deploy.step_search import StepSearch

PADDING, END, UNKNOWN = 1, 2, 3


def step_search(architecture, spec, weights):
    graphs = build_graphs(architecture, spec, weights, names=("encoder", "step"))
    encoder, step = (make_session(graph.SerializeToString(), 1) for graph in graphs.values())
    return StepSearch(SourceEncoder(encoder), step)


def fairseq_search(model, sources, options, prefixes=None):
    """All (tokens, score) of each source, best first, by fairseq's generator with full (not incremental) decoding.

    fairseq's length limits follow the longest source of the batch, and its `min_len` the longest prefix.
    """
    from fairseq.sequence_generator import SequenceGenerator

    sample = {"src_tokens": left_padded(sources), "src_lengths": torch.tensor([len(source) for source in sources])}
    generator = SequenceGenerator(
        [_fairseq_model(model)],
        _dictionary(model.spec.target_vocabulary),
        beam_size=options.beam,
        len_penalty=options.lenpen,
        max_len_a=options.max_len_a,
        max_len_b=options.max_len_b,
        max_len=1000,
        min_len=options.min_len,
        unk_penalty=options.unk_penalty,
    )
    if options.no_repeat_ngram:
        generator.repeat_ngram_blocker = _ngram_block(options.no_repeat_ngram)
    with torch.no_grad():
        prefix_tokens = _right_padded(prefixes) if prefixes else None
        found = generator.generate([], {"net_input": sample}, prefix_tokens=prefix_tokens)
    return [[(hypothesis["tokens"].tolist(), hypothesis["score"].item()) for hypothesis in pool] for pool in found]


def assert_same(found, expected):
    """`found` (Hypothesis lists) has the hypotheses of `expected` in their order, with their scores."""
    assert len(found) == len(expected)
    for pool, expected_pool in zip(found, expected, strict=True):
        assert [hypothesis.tokens for hypothesis in pool] == [tokens for tokens, _ in expected_pool]
        assert [hypothesis.score for hypothesis in pool] == pytest.approx([s for _, s in expected_pool], abs=1e-3)


def _right_padded(prefixes):
    width = max(map(len, prefixes))
    return torch.tensor([[*prefix, *[PADDING] * (width - len(prefix))] for prefix in prefixes])


def _dictionary(vocabulary):
    from fairseq.data import Dictionary

    dictionary = Dictionary()
    for token in range(4, vocabulary):
        dictionary.add_symbol(f"token{token}")
    return dictionary


def _ngram_block(size):
    """fairseq's blocker of n-grams, shown only the tokens that there are.

    On a CPU it compares with the end of what it is given, which is padding until the last step; its CUDA extension,
    which it prefers on a GPU, looks at the tokens up to the step as this does.
    """
    from fairseq.ngram_repeat_block import NGramRepeatBlock

    block = NGramRepeatBlock(size, use_extension=False)
    return lambda tokens, lprobs, bsz, beam_size, step: block(tokens[:, : step + 1], lprobs, bsz, beam_size, step)


def _fairseq_model(model):
    """A hat.models.translation.Transformer as SequenceGenerator wants it."""

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

    return Model()
