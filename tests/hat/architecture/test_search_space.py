"""SearchSpace: counting, sampling and encoding, against brute force."""

import itertools
import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny import DECODER_SPACE, ENCODER_SPACE, HEAD_DIM_SPACE, TINY_SPACE
from tiny_language_models import BINS_SPACE, LANGUAGE_SPACE

from hat.architecture.space import DecoderSpace, EncoderSpace, SearchSpace
from hat.architecture.stacks import Architecture, stacks_of
from hat.config import from_mapping
from hat.errors import UsageError

SPACES = (TINY_SPACE, ENCODER_SPACE, DECODER_SPACE, HEAD_DIM_SPACE, LANGUAGE_SPACE, BINS_SPACE)
SMALL = SearchSpace(
    qkv_dim=8,
    encoder=EncoderSpace((8,), (1, 2), (8, 16), (2,)),
    decoder=DecoderSpace((8, 16), (1, 2), (8,), (1, 2), (2,), (1, 2)),
)
SMALL_ALONE = DecoderSpace((8, 16), (1, 2), (8, 16), (1, 2))  # attends to nothing
SMALL_BINS = replace(SMALL_ALONE, head_dim=(4,), context=(3,), bin_dims=((4, 2), (2, 1, 1), (1,)))


def genomes(space):
    return st.tuples(*(st.integers(0, len(gene.choices) - 1) for gene in space.genes))


@pytest.mark.parametrize(
    "space",
    [SMALL, SearchSpace(8, SMALL.encoder), SearchSpace(8, decoder=SMALL_ALONE), SearchSpace(decoder=SMALL_BINS)],
)
def test_size_counts_distinct_architectures(space):
    every = itertools.product(*(range(len(gene.choices)) for gene in space.genes))
    assert space.size() == len({space.decode(genome) for genome in every})


def test_papers_space_is_of_the_published_order():
    wmt = SearchSpace(
        512,
        EncoderSpace((640, 512), (6,), (3072, 2048, 1024), (8, 4)),
        DecoderSpace((640, 512), (6, 5, 4, 3, 2, 1), (3072, 2048, 1024), (8, 4), (8, 4), (1, 2, 3)),
    )
    assert 1e14 < wmt.size() < 1e16  # the paper says 10^15


@given(st.data())
def test_decoded_architectures_encode_to_a_genome_of_the_same_meaning(data):
    space = data.draw(st.sampled_from(SPACES))
    architecture = space.decode(data.draw(genomes(space)))
    assert architecture in space
    assert space.decode(space.encode(architecture)) == architecture
    assert hash(space.decode(space.encode(architecture))) == hash(architecture)


@given(st.data())
def test_architectures_survive_yaml_and_json_mappings(data):
    space = data.draw(st.sampled_from(SPACES))
    architecture = space.decode(data.draw(genomes(space)))
    mapping = json.loads(json.dumps(architecture.to_dict()))
    assert Architecture.from_dict(mapping) == architecture
    head_width = [name for name in ("qkv_dim", "head_dim") if getattr(space, name) is not None]
    assert mapping.keys() == {*head_width, *stacks_of(space)}
    assert from_mapping(SearchSpace, json.loads(json.dumps(space.to_dict())), "space") == space


def test_an_architecture_of_other_stacks_is_not_of_the_space():
    with pytest.raises(UsageError, match="it has encoder where the space has encoder and decoder"):
        TINY_SPACE.encode(ENCODER_SPACE.smallest())
    assert TINY_SPACE.smallest() not in DECODER_SPACE


@pytest.mark.parametrize("widths", [{}, {"qkv_dim": 8, "head_dim": 4}])
def test_heads_have_one_width(widths):
    for cls, encoder in ((SearchSpace, SMALL.encoder), (Architecture, SMALL.largest().encoder)):
        with pytest.raises(UsageError, match="give either qkv_dim .* or head_dim"):
            cls(**widths, encoder=encoder)
        with pytest.raises(UsageError, match="head_dim: 0 is not positive"):
            cls(head_dim=0, encoder=encoder)


def test_an_architecture_of_other_head_widths_is_not_of_the_space():
    space = SearchSpace(encoder=SMALL.encoder, head_dim=4)
    with pytest.raises(UsageError, match="qkv_dim 8 differs from the space's None"):
        space.encode(SearchSpace(8, SMALL.encoder).smallest())
    with pytest.raises(UsageError, match="head_dim 2 differs from the space's 4"):
        space.encode(SearchSpace(encoder=SMALL.encoder, head_dim=2).smallest())


def test_attention_to_an_encoder_needs_one():
    message = "decoder.cross_attention_heads: there is no encoder to attend to; leave it out"
    with pytest.raises(UsageError, match=message):
        SearchSpace(8, decoder=SMALL.decoder)
    with pytest.raises(UsageError, match=message):
        Architecture(8, decoder=SMALL.smallest().decoder)
    with pytest.raises(UsageError, match="cross_attention_heads: give at least one choice"):
        SearchSpace(8, SMALL.encoder, SMALL_ALONE)
    with pytest.raises(UsageError, match="needs an encoder or a decoder"):
        Architecture(8)


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


def test_each_bin_has_choices_of_its_own():
    samples = [BINS_SPACE.sample(np.random.default_rng(seed)).decoder.bin_dims for seed in range(60)]
    assert set(samples) == set(itertools.product((3, 5, 8), (1, 4)))
    assert BINS_SPACE.size() == 6 * LANGUAGE_SPACE.size()
    assert (BINS_SPACE.smallest().decoder.bin_dims, BINS_SPACE.largest().decoder.bin_dims) == ((3, 1), (8, 4))


def test_an_architecture_that_says_nothing_of_bins_has_the_largest():
    earlier = LANGUAGE_SPACE.smallest()
    assert "bin_dims" not in earlier.to_dict()["decoder"]
    assert earlier in BINS_SPACE
    meant = BINS_SPACE.decode(BINS_SPACE.encode(earlier))
    assert meant == BINS_SPACE.completed(earlier) == with_bins(earlier, (8, 4))
    assert LANGUAGE_SPACE.completed(earlier) == earlier


def with_bins(architecture, bin_dims):
    return replace(architecture, decoder=replace(architecture.decoder, bin_dims=bin_dims))


def test_bins_that_are_not_of_the_space_are_named():
    smallest = BINS_SPACE.smallest()
    with pytest.raises(UsageError, match=r"decoder.bin_dims.1 = 2 is not one of \[1, 4\]"):
        BINS_SPACE.encode(with_bins(smallest, (3, 2)))
    with pytest.raises(UsageError, match="decoder.bin_dims has 1 values, the space choices for 2"):
        BINS_SPACE.encode(with_bins(smallest, (3,)))
    with pytest.raises(UsageError, match="decoder.bin_dims has 2 values, the space choices for 0"):
        LANGUAGE_SPACE.encode(smallest)


@pytest.mark.parametrize(
    ("bin_dims", "message"),
    [
        (((8, 4), ()), "bin_dims.1: give at least one choice"),
        (((8, 0), (4,)), "bin_dims.0: give at least one choice, all positive"),
        (((25, 8), (4,)), "bin_dims: 25 is above the largest embed_dim, 24; use at most 24"),
        (((4, 8), (9, 2)), "bin_dims: 9 is above the 8 of likelier words; use at most 8"),
    ],
)
def test_impossible_bins_are_named(bin_dims, message):
    with pytest.raises(UsageError, match=f"search_space.decoder.{message}"):
        SearchSpace(decoder=replace(LANGUAGE_SPACE.decoder, bin_dims=bin_dims))


def test_only_language_models_have_bins():
    message = "decoder.bin_dims: only a language model's words are in bins; leave it out"
    with pytest.raises(UsageError, match=message):
        SearchSpace(8, SMALL.encoder, replace(SMALL.decoder, bin_dims=((4, 2),)))
    with pytest.raises(UsageError, match=message):
        with_bins(SMALL.largest(), (4,))
    with pytest.raises(UsageError, match="decoder.bin_dims: values must be positive, got"):
        with_bins(LANGUAGE_SPACE.largest(), (4, 0))
