"""SearchSpace: counting, sampling and encoding, against brute force."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny import TINY_SPACE

from hat.architecture import Architecture
from hat.errors import UsageError
from hat.search_space import DecoderSpace, EncoderSpace, SearchSpace

SMALL = SearchSpace(
    qkv_dim=8,
    encoder=EncoderSpace((8,), (1, 2), (8, 16), (2,)),
    decoder=DecoderSpace((8, 16), (1, 2), (8,), (1, 2), (2,), (1, 2)),
)


def genomes(space):
    return st.tuples(*(st.integers(0, len(gene.choices) - 1) for gene in space.genes))


def test_size_counts_distinct_architectures():
    every = itertools.product(*(range(len(gene.choices)) for gene in SMALL.genes))
    assert SMALL.size() == len({SMALL.decode(genome) for genome in every})


def test_papers_space_is_of_the_published_order():
    wmt = SearchSpace(
        512,
        EncoderSpace((640, 512), (6,), (3072, 2048, 1024), (8, 4)),
        DecoderSpace((640, 512), (6, 5, 4, 3, 2, 1), (3072, 2048, 1024), (8, 4), (8, 4), (1, 2, 3)),
    )
    assert 1e14 < wmt.size() < 1e16  # the paper says 10^15


@given(genomes(TINY_SPACE))
def test_decoded_architectures_encode_to_a_genome_of_the_same_meaning(genome):
    architecture = TINY_SPACE.decode(genome)
    assert architecture in TINY_SPACE
    assert TINY_SPACE.decode(TINY_SPACE.encode(architecture)) == architecture
    assert hash(TINY_SPACE.decode(TINY_SPACE.encode(architecture))) == hash(architecture)


@given(genomes(TINY_SPACE))
def test_architectures_survive_yaml_and_json_mappings(genome):
    architecture = TINY_SPACE.decode(genome)
    assert Architecture.from_dict(architecture.to_dict()) == architecture


def test_genes_of_inactive_layers_change_nothing():
    shallow = [0] * len(TINY_SPACE.genes)
    inactive = next(i for i, gene in enumerate(TINY_SPACE.genes) if gene.name == "encoder.ffn_dim.2")
    changed = shallow.copy()
    changed[inactive] = 1
    assert TINY_SPACE.decode(shallow) == TINY_SPACE.decode(changed)


def test_samples_cover_every_choice_and_stay_inside():
    rng = np.random.default_rng(0)
    samples = [TINY_SPACE.sample(rng) for _ in range(400)]
    assert all(sample in TINY_SPACE for sample in samples)
    assert {sample.encoder.layers for sample in samples} == {1, 2, 3}
    assert {span for sample in samples for span in sample.decoder.cross_attention_span} == {1, 2, 3}


def test_same_seed_same_samples():
    first, second = (TINY_SPACE.sample(np.random.default_rng([7, 3])) for _ in range(2))
    assert first == second


def test_full_transformer_attends_to_the_last_encoder_layer_only():
    full = TINY_SPACE.full_transformer()
    assert set(full.decoder.cross_attention_span) == {1}
    assert full.decoder.ffn_dim == TINY_SPACE.largest().decoder.ffn_dim


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"self_attention_heads": (3,)}, "3 heads do not divide qkv_dim 8"),
        ({"ffn_dim": ()}, "at least one choice"),
        ({"embed_dim": (0, 8)}, "positive"),
    ],
)
def test_impossible_choices_are_named(change, message):
    encoder = {"embed_dim": (8,), "layers": (2,), "ffn_dim": (8,), "self_attention_heads": (2,)} | change
    with pytest.raises(UsageError, match=message):
        SearchSpace(8, EncoderSpace(**encoder), DecoderSpace((8,), (1,), (8,), (2,), (2,), (1,)))


def test_span_above_the_encoder_depth_is_refused():
    with pytest.raises(UsageError, match="3 is above the encoder depth 2"):
        SearchSpace(8, EncoderSpace((8,), (2,), (8,), (2,)), DecoderSpace((8,), (1,), (8,), (2,), (2,), (1, 3)))
