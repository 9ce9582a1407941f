"""Bundles of language models without some heads and FFN neurons: they do what the networks with zeros in them do."""

import dataclasses

import numpy as np
import pytest
import torch
from test_compaction import layer_weights, pruned, shapes_of
from test_language_model_bundle import NAMES, graphs_of, write
from test_language_model_precisions import TOLERANCES, run_alone
from tiny_language_models import ADAPTIVE, LANGUAGE_SPACE, language_spec, some_words

import hat
from hat.architecture.groups import heads_and_neurons
from hat.architecture.stacks import Architecture, DecoderArchitecture
from hat.compression.rounding import GRIDS, lay_grids
from hat.deploy.building.standalone import add_runtime
from hat.export.language_modeling.calibration import calibrate_language_model, calibration_parts
from hat.models.language_model import LanguageModel

LARGEST = LANGUAGE_SPACE.largest()
UNEVEN = dataclasses.replace(  # layers that differ in all sizes
    LARGEST,
    decoder=dataclasses.replace(
        LARGEST.decoder, ffn_dim=(32, 20, 32), self_attention_heads=(3, 1, 2), head_dim=(8, 4, 4), context=(7, 1, 4)
    ),
)
WIDE = Architecture(  # rows that take several blocks of 4-bit numbers
    decoder=DecoderArchitecture(24, ffn_dim=(96, 80), self_attention_heads=(4, 3), head_dim=(24, 8), context=(7, 5))
)


def network_without(architecture, share, **options):
    """(the network with this share of the heads and of the neurons of each layer at zero, the one before)"""
    torch.manual_seed(3)
    dense = LanguageModel(architecture, language_spec(**options)).eval()
    arrays = {name: (weight + 0.1 * torch.randn_like(weight)).numpy() for name, weight in dense.state_dict().items()}
    dense.load_state_dict({name: torch.from_numpy(array) for name, array in arrays.items()})
    model = LanguageModel(architecture, dense.spec).eval()
    zeros = pruned(heads_and_neurons(architecture, shapes_of(arrays)), arrays, share)
    model.load_state_dict({name: torch.from_numpy(array) for name, array in zeros.items()})
    return model, dense


def log_probabilities(model, words):
    with torch.no_grad():
        return model.output.log_probabilities(model(words)[0])[0].numpy()


def in_parts(bundle, words, parts):
    """What a bundle says after each of the words (1, time), so many of which are read in each call."""
    model, memory, found = hat.LanguageModel(bundle), None, []
    for part in words[0].split(parts):
        each, memory = model.step(part.tolist(), memory)
        found.append(each)
    return np.concatenate(found)


@pytest.mark.parametrize("architecture", [LARGEST, UNEVEN], ids=["largest", "uneven"])
@pytest.mark.parametrize("options", [ADAPTIVE, {"activation": "gelu"}], ids=["adaptive", "gelu"])
def test_step_by_step_and_in_parts_it_is_the_masked_network(tmp_path, architecture, options):
    model, dense = network_without(architecture, 0.6, **options)
    words = some_words(1, 20)
    expected = log_probabilities(model, words)
    assert np.abs(log_probabilities(dense, words) - expected).max() > 0.1
    bundle = write(tmp_path / "fp32", model)
    for parts in ([20], [1] * 20, [3, 10, 7]):
        np.testing.assert_allclose(in_parts(bundle, words, parts), expected, atol=1e-4)
    assert layer_weights(graphs_of(model)) < 0.75 * layer_weights(graphs_of(dense))


def test_graph_keeps_and_multiplies_only_what_is_left():
    model, _ = network_without(UNEVEN, 0.5)
    graph = graphs_of(model)["step"].graph
    shapes = {tensor.name: tuple(tensor.dims) for tensor in graph.initializer}
    kept = {value.name: value.type.tensor_type.shape.dim for value in (*graph.input, *graph.output)}
    for layer, (heads, neurons) in enumerate(((1, 16), (1, 10), (1, 16))):
        head_dim, context = UNEVEN.decoder.head_dim[layer], UNEVEN.decoder.context[layer]
        for name in ("key", "value", "new_key", "new_value"):
            assert [kept[f"{name}.{layer}"][axis].dim_value for axis in (1, 3)] == [heads, head_dim]
        prefix = f"decoder.layers.{layer}"
        assert shapes[f"{prefix}.self_attn.positions"] == (head_dim, context)
        stored = [sorted(shapes[f"{prefix}.{name}.weight"]) for name in ("self_attn.qkv_proj", "fc1", "fc2")]
        assert stored == [sorted((24, 3 * heads * head_dim)), sorted((24, neurons)), sorted((24, neurons))]


@pytest.fixture(scope="module")
def bundles(tmp_path_factory):
    """(the masked network, {precision: bundle} with the one-file runtime in each, the dense fp32 bundle)"""
    folder = tmp_path_factory.mktemp("bundles")
    model, dense = network_without(LARGEST, 0.5, **ADAPTIVE)
    arrays = {name: tensor.numpy() for name, tensor in model.state_dict().items()}
    text = some_words(1, 2000, seed=9)[0].numpy()
    ranges = calibrate_language_model(LARGEST, model.spec, arrays, calibration_parts(text))
    made = {name: write(folder / name, model, precision=name, ranges=ranges) for name in ("fp32", *TOLERANCES)}
    for bundle in made.values():
        add_runtime(bundle)
    return model, made, write(folder / "dense", dense)


@pytest.mark.parametrize("precision", ["int8", "int4", "kmeans4"])
def test_pruning_and_fewer_bits_combine(bundles, precision):
    model, made, dense = bundles
    words = some_words(1, 40)
    difference = np.abs(in_parts(made[precision], words, [25, 15]) - log_probabilities(model, words)).mean()
    assert 0 < difference < TOLERANCES[precision]
    sizes = [(bundle / "weights.bin").stat().st_size for bundle in (made[precision], made["fp32"], dense)]
    assert sizes == sorted(set(sizes))


def test_one_file_runs_it_without_hat(bundles):
    _, made, _ = bundles
    model = hat.LanguageModel(made["int8"])
    written = run_alone(made["int8"], "generate", "--prompt", "w5 w9", "--tokens", "8", "--seed", "3")
    assert (written.stderr, written.stdout) == ("", f"w5 w9 {model.generate('w5 w9', 8, seed=3)}\n")


@pytest.mark.parametrize("precision", GRIDS)
def test_what_was_learnt_on_the_grids_of_a_pruned_network_is_stored_without_a_loss(tmp_path, precision):
    """Also of queries, which bundles hold scaled; without the removed columns other ones share a block."""
    model, _ = network_without(WIDE, 0.4, **ADAPTIVE)
    weights = {name: weight.clone() for name, weight in model.state_dict().items()}
    grids = lay_grids(precision, WIDE, weights)
    exact = [name for name in weights if name not in grids]
    assert all(name.endswith(("bias", "positions")) or "norm" in name or "biases" in name for name in exact)
    moved = {name: weight * (1 + 0.3 * torch.rand_like(weight)) for name, weight in weights.items()}
    learnt = {name: grids[name].nearest(weight) for name, weight in moved.items() if name in grids}
    model.load_state_dict(weights | learnt)
    words = some_words(1, 30)
    found = in_parts(write(tmp_path / precision, model, NAMES, precision), words, [30])
    np.testing.assert_allclose(found, log_probabilities(model, words), atol=1e-4)
