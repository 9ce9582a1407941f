"""Language models: extraction, cached decoding, a bounded view of the past, counts, and checkpoints on disk."""

import dataclasses

import numpy as np
import pytest
import torch
from flop_counting import TorchprofileCounter
from tiny_language_models import (
    ADAPTIVE,
    BINS_SPACE,
    LANGUAGE_SPACE,
    WORDS,
    language_spec,
    some_words,
    super_language_model,
)

from hat.accounting.micronet import account
from hat.accounting.network import AccountedNetwork
from hat.architecture.complexity import count_flops, count_parameters, parameter_shapes
from hat.architecture.space import DecoderSpace, EncoderSpace, SearchSpace
from hat.architecture.stacks import Architecture, DecoderArchitecture
from hat.errors import ArtifactError, UsageError
from hat.models.checkpoint import load_model, load_weights, save_model
from hat.models.language_model import LanguageModel
from hat.tasks import TASKS

MODELS = {
    "one table": {},
    "adaptive": ADAPTIVE,
    "gelu": {**ADAPTIVE, "activation": "gelu"},
    "elastic bins": {"space": BINS_SPACE, **ADAPTIVE},
}


def largest_with(bin_dims):
    """LANGUAGE_SPACE's largest, its later bins so wide; (): as wide as the spec says."""
    return Architecture(decoder=dataclasses.replace(LANGUAGE_SPACE.largest().decoder, bin_dims=bin_dims))


def drawn(count, seed=0, space=LANGUAGE_SPACE):
    rng = np.random.default_rng(seed)
    return [space.sample(rng) for _ in range(count)] + [space.smallest(), space.largest()]


@pytest.mark.parametrize("name", MODELS)
def test_extracted_equals_active_and_holds_only_its_own_weights(name):
    model, words = super_language_model(**MODELS[name]), some_words()
    for architecture in drawn(6, space=model.space):
        model.activate(architecture)
        extracted = model.extract(architecture)
        with torch.no_grad():
            own, lent = (each.output.log_probabilities(each(words)[0]) for each in (extracted, model))
        torch.testing.assert_close(own, lent, atol=1e-5, rtol=0)
        assert own.shape == (3, 17, WORDS)
        shapes = {key: tuple(value.shape) for key, value in extracted.state_dict().items()}
        assert list(shapes.items()) == list(parameter_shapes(architecture, model.spec).items())
        assert sum(p.numel() for p in extracted.parameters()) == count_parameters(architecture, model.spec)[0]


def test_a_subtransformer_s_bins_are_the_first_columns_of_each_table_and_projection():
    """Of a network whose spec has those widths, and that knows nothing of others."""
    model, words = super_language_model(BINS_SPACE, **ADAPTIVE), some_words()
    model.activate(largest_with((5, 1)))
    alone = LanguageModel(largest_with(()), language_spec(cutoffs=(12, 30), bin_dims=(24, 5, 1))).eval()
    weights = model.state_dict()
    for index, width in enumerate((5, 1)):
        table, into = f"embedding.tables.{index + 1}.weight", f"embedding.projections.{index}.weight"
        weights[table], weights[into] = weights[table][:, :width], weights[into][:, :width]
        weights[f"output.projections.{index}.weight"] = weights[f"output.projections.{index}.weight"][:width]
    alone.load_state_dict(weights)
    with torch.no_grad():
        own, lent = (each.output.log_probabilities(each(words)[0]) for each in (alone, model))
        losses = [each.output.losses(each(words)[0].flatten(0, 1), words.flatten()) for each in (alone, model)]
    torch.testing.assert_close(own, lent, atol=1e-6, rtol=0)
    torch.testing.assert_close(*losses, atol=1e-6, rtol=0)


def test_without_widths_of_its_own_a_network_has_those_of_the_spec():
    spec, largest = language_spec(**ADAPTIVE), LANGUAGE_SPACE.largest()
    assert spec.bin_widths(largest.decoder) == spec.bin_widths(BINS_SPACE.largest().decoder) == [24, 8, 4]
    assert spec.bin_widths(BINS_SPACE.smallest().decoder) == [16, 3, 1]
    model, words = super_language_model(BINS_SPACE, **ADAPTIVE), some_words()
    with torch.no_grad():
        assert torch.equal(model.extract(largest)(words)[0], model.extract(BINS_SPACE.largest())(words)[0])
    with pytest.raises(UsageError, match=r"decoder.bin_dims: 2 values, but 0 bins after the first \(model.cutoffs\)"):
        LanguageModel(BINS_SPACE.largest(), language_spec())


def test_a_word_at_a_time_with_cached_keys_and_values_equals_the_whole():
    model, words = super_language_model(**ADAPTIVE), some_words()
    for architecture in drawn(4, seed=5):
        model.activate(architecture)
        with torch.no_grad():
            whole, memory, steps = model(words)[0], None, []
            for word in words.split(1, dim=1):
                features, memory = model(word, memory)
                steps.append(features)
        torch.testing.assert_close(torch.cat(steps, 1), whole, atol=1e-5, rtol=0)
        for (key, value), context in zip(memory, architecture.decoder.context, strict=True):
            assert key.shape == value.shape
            assert key.size(2) == context - 1  # it doesn't grow with the text


def test_a_word_has_no_effect_on_those_before_it_nor_beyond_what_the_layers_reach():
    model = super_language_model()
    architecture = next(each for each in drawn(20, seed=3) if 1 < sum(each.decoder.context) < 14)
    model.activate(architecture)
    words = some_words(1, 40)
    changed = words.clone()
    changed[0, 10] = (words[0, 10] + 1) % WORDS
    with torch.no_grad():
        differs = (model(words)[0] - model(changed)[0]).abs().sum(-1)[0].gt(0).nonzero().flatten().tolist()
    reach = sum(context - 1 for context in architecture.decoder.context)
    assert (min(differs), max(differs)) == (10, 10 + reach)


def test_with_few_words_each_later_bin_has_one():
    few_words = TASKS["language_modeling"].with_few_words(language_spec(**ADAPTIVE), 20)
    shapes = parameter_shapes(BINS_SPACE.smallest(), few_words)
    assert [shapes[f"embedding.tables.{index}.weight"] for index in range(3)] == [(18, 16), (1, 3), (1, 1)]
    alone = TASKS["language_modeling"].with_few_words(language_spec(), 20)
    assert parameter_shapes(LANGUAGE_SPACE.smallest(), alone)["embedding.tables.0.weight"] == (20, 16)


@pytest.mark.parametrize(
    ("options", "bin_dims", "projection"),
    [({}, (), 0), (ADAPTIVE, (), 24 * 8), ({"space": BINS_SPACE, **ADAPTIVE}, (5, 1), 24 * 5)],
    ids=["one table", "adaptive", "elastic bins"],
)
def test_flops_of_a_further_word_are_what_torch_multiplies(options, bin_dims, projection):
    """A projection from the word's bin apart: like tables it is left out."""
    architecture = largest_with(bin_dims)
    model, words, length = super_language_model(**options).extract(architecture), some_words(1, 9), 8
    words[0, length] = 20  # in the second bin
    with torch.no_grad():
        memory = model(words[:, :length])[1]  # as long as the context
        with TorchprofileCounter() as counter:
            model(words[:, length:], memory)
    flops = [count_flops(architecture, model.spec, length, steps) for steps in (0, 1)]
    assert flops[1] - flops[0] == 2 * (counter.multiply_adds - projection)
    assert count_flops(architecture, model.spec, length + 1, 0) == flops[1]


@pytest.mark.parametrize("bin_dims", [(8, 4), (5, 1)])
def test_the_challenge_counts_the_same_parameters(bin_dims):
    architecture = largest_with(bin_dims)
    decoder = architecture.decoder
    network = AccountedNetwork(
        vocabulary=WORDS,
        embed_dim=decoder.embed_dim,
        ffn_dim=decoder.ffn_dim,
        heads=decoder.self_attention_heads,
        head_dim=decoder.head_dim,
        context=decoder.context,
        cutoffs=ADAPTIVE["cutoffs"],
        bin_dims=(24, *bin_dims),
        bin_shares=(0.5, 0.25, 0.25),
    )
    norms = 2 * 24 * (2 * decoder.layers + 1)
    own = count_parameters(architecture, language_spec(**ADAPTIVE))[0]
    assert sum(item.parameters for item in account(network)) == own - norms


def test_saved_and_read_again_it_is_the_same(tmp_path):
    model, words = super_language_model(**ADAPTIVE), some_words()
    save_model(tmp_path / "super", model)
    save_model(tmp_path / "sub", model.extract(LANGUAGE_SPACE.smallest()))
    again = load_model(tmp_path / "super")
    assert (again.space, again.spec) == (model.space, model.spec)
    with torch.no_grad():
        assert torch.equal(again(words)[0], model(words)[0])
    architecture, spec, weights = load_weights(tmp_path / "sub")
    assert (architecture, spec) == (LANGUAGE_SPACE.smallest(), model.spec)
    assert list(weights) == list(parameter_shapes(architecture, spec))
    with pytest.raises(ArtifactError, match="holds a SuperTransformer"):
        load_weights(tmp_path / "super")


def test_an_architecture_survives_a_file_and_tells_contexts_apart():
    architecture = LANGUAGE_SPACE.largest()
    assert Architecture.from_dict(architecture.to_dict()) == architecture
    assert architecture != dataclasses.replace(
        architecture, decoder=dataclasses.replace(architecture.decoder, context=(7, 7, 4))
    )
    assert LANGUAGE_SPACE.size() == 2 * sum((2 * 3 * 2 * 3) ** depth for depth in (1, 2, 3))


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: SearchSpace(8, decoder=LANGUAGE_SPACE.decoder), "search_space.qkv_dim: the decoder has a head_dim"),
        (
            lambda: SearchSpace(decoder=DecoderSpace((8,), (1,), (8,), (1,), head_dim=(4,))),
            "search_space.decoder.context: give at least one choice",
        ),
        (
            lambda: Architecture(decoder=DecoderArchitecture(8, (8, 8), (1, 1), head_dim=(4, 4), context=(3,))),
            "decoder.context: 1 values for 2 layers",
        ),
        (
            lambda: SearchSpace(
                encoder=EncoderSpace((8,), (1,), (8,), (1,)),
                decoder=DecoderSpace((8,), (1,), (8,), (1,), (1,), (1,), (4,), (3,)),
            ),
            "decoder.head_dim: only a decoder without an encoder has it",
        ),
    ],
)
def test_what_does_not_go_together_is_refused(build, message):
    with pytest.raises(UsageError, match=message):
        build()
