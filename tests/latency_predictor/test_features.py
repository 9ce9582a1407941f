"""Features tell architectures apart, and averaged ones are HAT's."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny import DECODER_SPACE, ENCODER_SPACE, HEAD_DIM_SPACE, TINY_SPACE
from tiny_language_models import BINS_SPACE, LANGUAGE_SPACE

from hat.architecture.space import DecoderSpace, SearchSpace
from hat.architecture.stacks import Architecture, DecoderArchitecture, EncoderArchitecture
from hat.errors import UsageError
from latency_predictor.fitting.features import AVERAGED, AveragedFeatures, PerLayerFeatures

FEATURES = PerLayerFeatures(TINY_SPACE)
GENOMES = st.tuples(*(st.integers(0, len(gene.choices) - 1) for gene in TINY_SPACE.genes))


@given(GENOMES, GENOMES)
@settings(deadline=None)
def test_equal_features_mean_equal_architectures(first, second):
    first, second = TINY_SPACE.decode(first), TINY_SPACE.decode(second)
    rows = FEATURES.matrix([first, second])
    assert np.array_equal(rows[0], rows[1]) == (first == second)


@given(GENOMES, st.integers(0, len(TINY_SPACE.genes) - 1))
@settings(deadline=None)
def test_one_changed_gene_shows_unless_its_layer_is_inactive(genome, position):
    changed = list(genome)
    changed[position] = (genome[position] + 1) % len(TINY_SPACE.genes[position].choices)
    first, second = TINY_SPACE.decode(genome), TINY_SPACE.decode(changed)
    rows = FEATURES.matrix([first, second])
    assert np.array_equal(rows[0], rows[1]) == (first == second)


def test_every_column_has_its_own_name():
    matrix = FEATURES.matrix([TINY_SPACE.smallest(), TINY_SPACE.largest()])
    assert matrix.shape == (2, len(FEATURES.names))
    assert len(set(FEATURES.names)) == len(FEATURES.names)


def test_values_stand_under_their_names():
    row = dict(zip(FEATURES.names, FEATURES.matrix([TINY_SPACE.largest()])[0], strict=True))
    assert row["encoder.layers"] == 3
    assert row["decoder.ffn_dim.1"] == 32
    row = dict(zip(FEATURES.names, FEATURES.matrix([TINY_SPACE.smallest()])[0], strict=True))
    assert row["decoder.ffn_dim.1"] == 0


@pytest.mark.parametrize("space", [ENCODER_SPACE, DECODER_SPACE, LANGUAGE_SPACE, BINS_SPACE])
def test_a_stack_alone_is_told_apart_by_its_own_columns_only(space):
    features, rng = PerLayerFeatures(space), np.random.default_rng(4)
    drawn = list({space.sample(rng) for _ in range(40)})
    inputs = features.inputs(features.matrix(drawn))
    assert len(np.unique(inputs.raw, axis=0)) == len(drawn)
    (stack,) = {name.split(".")[0] for name in (*features.names, *features.physical_names)}
    depth = features.physical_names.index(f"{stack}.layers")
    assert inputs.physical[:, depth].tolist() == [getattr(architecture, stack).layers for architecture in drawn]
    assert features.depth_names == (f"{stack}.layers",)


def test_physical_columns_are_what_each_layer_costs_added_up():
    encoder = EncoderArchitecture(640, (1024, 2048, 1024), (4, 8, 4))
    decoder = DecoderArchitecture(512, (3072, 1024), (8, 4), (4, 2), (1, 3))
    features = AveragedFeatures()
    inputs = features.inputs(features.matrix([Architecture(512, encoder, decoder)]))
    row = dict(zip(features.physical_names, inputs.physical[0], strict=True))
    expected = {
        "encoder.layers": 3,
        "encoder.sqrt(layers)": 3**0.5,
        "encoder.embed_dim": 640,
        "encoder.embed_dim*layers": 640 * 3,
        "encoder.ffn_dim": 4096,
        "encoder.embed_dim*ffn_dim": 640 * 1024 + 640 * 2048 + 640 * 1024,
        "encoder.self_attention_heads": 16,
        "decoder.layers": 2,
        "decoder.sqrt(layers)": 2**0.5,
        "decoder.embed_dim": 512,
        "decoder.embed_dim*layers": 512 * 2,
        "decoder.ffn_dim": 4096,
        "decoder.embed_dim*ffn_dim": 512 * 3072 + 512 * 1024,
        "decoder.self_attention_heads": 12,
        "decoder.cross_attention_heads": 6,
        "decoder.cross_attention_span": 4,
        "encoder.embed_dim*decoder.layers": 640 * 2,
        "encoder.embed_dim*cross_attention_span": 640 * 1 + 640 * 3,
    }
    assert row == pytest.approx(expected)


def test_heads_of_a_fixed_width_make_projections_wider():
    features = PerLayerFeatures(HEAD_DIM_SPACE)
    inputs = features.inputs(features.matrix([HEAD_DIM_SPACE.largest()]))
    row = dict(zip(features.physical_names, inputs.physical[0], strict=True))
    assert row["encoder.embed_dim*self_attention_heads"] == 24 * 3 * 5
    assert row["decoder.embed_dim*self_attention_heads"] == 24 * 2 * 5
    assert row["encoder.embed_dim*cross_attention_heads"] == 24 * 2 * 3
    assert len(features.physical_names) == len(FEATURES.physical_names) + 4


def test_layers_with_windows_of_their_own_cost_what_they_attend_to():
    decoder = DecoderSpace((16, 24), (1, 3), (32, 64), (1, 2, 4), head_dim=(4, 8), context=(5, 50))
    features, rng = PerLayerFeatures(SearchSpace(decoder=decoder)), np.random.default_rng(2)
    drawn = [features.space.sample(rng).decoder for _ in range(20)]
    inputs = features.inputs(features.matrix([Architecture(decoder=each) for each in drawn]))
    columns = dict(zip(features.physical_names, inputs.physical.T, strict=True))
    widths = [[a * b for a, b in zip(each.self_attention_heads, each.head_dim, strict=True)] for each in drawn]
    projections = [each.embed_dim * sum(of) for each, of in zip(drawn, widths, strict=True)]
    attended = [np.dot(each.context, of) for each, of in zip(drawn, widths, strict=True)]
    assert columns["decoder.embed_dim*attention_dim"].tolist() == projections
    assert columns["decoder.context*attention_dim"].tolist() == attended
    assert columns["decoder.context"].tolist() == [sum(each.context) for each in drawn]


def test_bins_cost_their_tables_and_projections():
    features, rng = PerLayerFeatures(BINS_SPACE), np.random.default_rng(2)
    drawn = [BINS_SPACE.sample(rng) for _ in range(20)]
    inputs = features.inputs(features.matrix(drawn))
    columns = dict(zip(features.physical_names, inputs.physical.T, strict=True))
    widths = np.array([each.decoder.bin_dims for each in drawn])
    assert np.array_equal(np.stack([columns[f"decoder.bin_dims.{index}"] for index in (0, 1)], axis=1), widths)
    projections = [each.decoder.embed_dim * sum(each.decoder.bin_dims) for each in drawn]
    assert columns["decoder.embed_dim*bin_dims"].tolist() == projections
    assert not any("bin_dims" in name for name in PerLayerFeatures(LANGUAGE_SPACE).physical_names)


def test_an_architecture_from_before_bins_were_elastic_has_the_largest():
    features = PerLayerFeatures(BINS_SPACE)
    assert np.array_equal(*features.matrix([LANGUAGE_SPACE.largest(), BINS_SPACE.largest()]))


@given(GENOMES)
@settings(deadline=None)
def test_genes_and_averages_mean_the_same_work(genome):
    architecture, averaged = TINY_SPACE.decode(genome), AveragedFeatures()
    physical = [features.inputs(features.matrix([architecture])).physical for features in (FEATURES, averaged)]
    np.testing.assert_allclose(*physical)


def test_an_architecture_deeper_than_the_space_is_refused():
    foreign = Architecture(
        TINY_SPACE.qkv_dim,
        TINY_SPACE.largest().encoder,
        DecoderArchitecture(24, *[(32,) * 9, *[(4,) * 9] * 2, (1,) * 9]),
    )
    with pytest.raises(UsageError, match=r"decoder\.layers = 9"):
        FEATURES.matrix([foreign])


def test_an_architecture_outside_of_the_space_is_refused():
    foreign = Architecture(16, EncoderArchitecture(24, (99,), (4,)), DecoderArchitecture(24, (32,), (4,), (4,), (1,)))
    with pytest.raises(UsageError, match=r"encoder\.ffn_dim\.0 = 99"):
        FEATURES.matrix([TINY_SPACE.smallest(), foreign])


def test_averaged_features_are_the_columns_of_hat():
    architecture = Architecture(
        512,
        EncoderArchitecture(640, (1024, 2048, 1024), (4, 8, 4)),
        DecoderArchitecture(512, (3072, 1024), (8, 4), (4, 4), (1, 3)),
    )
    row = dict(zip(AVERAGED, AveragedFeatures().matrix([architecture])[0], strict=True))
    assert row["encoder_ffn_embed_dim_avg"] == pytest.approx(4096 / 3)
    assert row["encoder_self_attention_heads_avg"] == pytest.approx(16 / 3)
    assert (row["encoder_layer_num"], row["decoder_layer_num"]) == (3, 2)
    assert (row["decoder_ffn_embed_dim_avg"], row["decoder_arbitrary_ende_attn_avg"]) == (2048, 2)
