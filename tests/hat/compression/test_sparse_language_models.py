"""Language models that lose single weights: through hat-compress, killed and resumed, and what is refused."""

import json
import signal

import pytest
import torch
from compressing import call, refused
from deaths import assert_same_result, run_and_die
from tiny_language_run import TRAINING, make_run, trained_run

from hat.accounting.micronet import micronet_account
from hat.accounting.trained import trained_network
from hat.architecture.complexity import parameter_shapes
from hat.architecture.groups import single_weights
from hat.cli import cache, export, inspect
from hat.compression.moving_average import MovingAverage
from hat.compression.pruning.pruner import Aim, Pruner, there
from hat.compression.sparse import tensors
from hat.elastic.cache import NeuralCache
from hat.elastic.state_rounding import StateRounding
from hat.errors import UsageError
from hat.evaluation.language_modeling import cached
from hat.experiment.language_modeling import LanguageCompressionConfig
from hat.models.checkpoint import load_model

GRADUAL = LanguageCompressionConfig(max_update=20, warmup_updates=0, lr=0.1)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A language model's run with the full-size network trained, and half of its weights pruned."""
    made = trained_run(tmp_path_factory.mktemp("sparse"))
    call(made, "full", "--rate", "2")
    return made


def prunable(model):
    """{name: weights} of all tensors of which single weights may be removed."""
    shapes, weights = parameter_shapes(model.architecture, model.spec), model.state_dict()
    return {each.place: weights[each.place] for each in tensors(shapes)}


def test_half_of_all_weights_stay_of_each_tensor_as_many_as_was_found(run):
    model, dense = (load_model(run.sub(name)) for name in ("full-2x", "full"))
    weights, report = prunable(model), json.loads((run.sub("full-2x") / "pruned.json").read_text())
    left = {name: int(torch.count_nonzero(weight)) for name, weight in weights.items()}
    aim = json.loads((run.sub("full-2x") / "plan.json").read_text())["state"]["aim"]
    assert list(left.values()) == aim["counts"] == [place["kept"] for place in report["places"]]
    before = sum(int(torch.count_nonzero(weight)) for weight in prunable(dense).values())
    assert before / 2 - len(left) <= sum(left.values()) <= before / 2 + 1
    others = [name for name in model.state_dict() if name not in weights]
    assert {name.split(".")[-1] for name in others} == {"weight", "bias", "qkv_bias", "positions"}
    assert all(model.state_dict()[name].all() for name in others)


def test_it_is_found_and_trained_once_and_its_page_says_what_zeros_are_worth(run, capsys):
    (run.sub("full-2x") / "sensitivity.json").unlink()  # would be written again
    call(run, "full", "--rate", "2")
    told = capsys.readouterr().out
    assert "full-2x is up to date" in told
    assert "zeros of single weights make no bundle smaller or faster" in told
    assert not (run.sub("full-2x") / "sensitivity.json").exists()
    assert "no bundle smaller or faster" in " ".join((run.path / "compression.html").read_text().split())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--rate", "1"], "--rate 1: nothing would be removed"),
        (["--rate", "100"], "--rate 100 leaves too little of a tensor; the highest rate here is about"),
        (["--size", "1MB"], "--size 1MB: zeros of single weights, which compression.structure removes here, make no"),
        (["--weights", "int4"], "--weights int4: zeros of single weights"),
        (["--bits", "1"], "--bits 1: is not between 2 and 16; use 9 or so"),
    ],
)
def test_what_can_not_be_reached_is_told_in_a_line(run, capsys, arguments, message):
    status, line = refused(capsys, run, "full", *arguments)
    assert status == 2
    assert message in line


@pytest.mark.slow
def test_killed_and_run_again_it_is_the_same_to_the_bit(run):
    """Also while sensitivities are measured: what was, isn't again."""
    again = ["full", "--rate", "2", "--name", "again"]
    deaths = [{"replacements": 20}, {"backward_passes": 13}, {"backward_passes": 25}]
    assert_killed_it_is_the_same(run, again, deaths, "full-2x")


def assert_killed_it_is_the_same(run, arguments, deaths, expected):
    """`arguments` end with the name of the result, which is to be that of `expected`."""
    for death in deaths:
        assert run_and_die(lambda: call(run, *arguments), **death) == -signal.SIGKILL
        assert not (run.sub(arguments[-1]) / "done.json").exists()
    assert run_and_die(lambda: call(run, *arguments)) == 0
    assert_same_result(run.sub(expected), run.sub(arguments[-1]))


@pytest.fixture(scope="module")
def in_five_bits(run):
    call(run, "full-2x", "--bits", "5")
    return load_model(run.sub("full-2x-5bit"))


def largest_of_channels(name, weight):
    """Of what a product's output is made from, or of all of a vector that is added; broadcasts against `weight`."""
    size = weight.abs()
    if "bias" in name:
        return size.max()
    if name.endswith("out_weight"):
        return size.amax((1, 2), keepdim=True)
    return size.amax(-1, keepdim=True)


def test_weights_are_whole_steps_of_their_channels_and_zeros_stay(run, in_five_bits):
    pruned, weights = load_model(run.sub("full-2x")).state_dict(), in_five_bits.state_dict()
    norms = [name for name in weights if "layer_norm" in name]
    moved = 0
    for name in weights.keys() - norms:
        steps = weights[name] / (largest_of_channels(name, pruned[name]) / 15).clamp(min=1e-30)
        torch.testing.assert_close(steps, steps.round(), rtol=0, atol=1e-4)
        assert steps.abs().max() <= 15.001
        assert not weights[name][pruned[name] == 0].any()
        moved += int(
            (
                steps.round() != (pruned[name] / largest_of_channels(name, pruned[name]).clamp(min=1e-30) * 15).round()
            ).sum()
        )
    assert moved > 100  # it was trained
    assert any(not torch.equal(weights[name], pruned[name]) for name in norms)


def test_what_it_says_of_the_next_word_is_made_of_31_values_a_state(run, in_five_bits):
    assert in_five_bits.spec.bits == 5
    assert len(in_five_bits.spec.bounds) == 2 * 8 + 1 + 2  # layers, features, later bins
    words = torch.tensor([[3, 4, 5, 6, 7, 8, 9]])
    steps = in_five_bits(words)[0] / in_five_bits.spec.bounds[-1] * 15
    torch.testing.assert_close(steps, steps.round(), rtol=0, atol=1e-4)
    assert steps.abs().max() <= 15.001
    assert len(steps.unique()) > 5


@pytest.mark.slow
def test_killed_and_run_again_few_bits_are_the_same(run, in_five_bits):
    again = ["full-2x", "--bits", "5", "--name", "again-5bit"]
    assert_killed_it_is_the_same(run, again, [{"backward_passes": 13}, {"backward_passes": 25}], "full-2x-5bit")


def test_a_bundle_of_it_says_what_exact_states_would(run, in_five_bits):
    export.main(["full-2x-5bit", "--precision", "fp32", "--run", str(run.path)])
    assert (run.export("full-2x-5bit") / "fp32" / "bundle.json").exists()


def test_its_account_counts_zeros_and_bits_beside_the_full_one(run, in_five_bits, capsys):
    inspect.main(["full-2x-5bit", "--accounting", "micronet", "--against", "full", "--json", "--run", str(run.path)])
    found = json.loads(capsys.readouterr().out)
    weights = {name: weight for name, weight in in_five_bits.state_dict().items() if "layer_norm" not in name}
    assert found["total"]["parameters"] == sum(weight.numel() for weight in weights.values())
    in_vectors = [name for name in weights if name.endswith(("qkv_bias", "fc1.bias", "fc2.bias", "positions"))]
    in_vectors += ["output.classes.weight", "output.classes.bias"]
    nonzero = sum(
        weight.numel() if name in in_vectors else int(weight.count_nonzero()) for name, weight in weights.items()
    )
    assert found["total"]["nonzero"] == pytest.approx(nonzero)
    scales = sum(largest_of_channels(name, weight).numel() for name, weight in weights.items())
    size = nonzero * 5 / 32 + found["total"]["parameters"] / 32 + 19 * (1 + 27 / 32) + scales
    assert found["parameters"]["counted"] == pytest.approx(size)
    inspect.main(["full", "--accounting", "micronet", "--json", "--run", str(run.path)])
    full = json.loads(capsys.readouterr().out)
    assert full["parameters"]["counted"] == full["total"]["parameters"] == found["total"]["parameters"]
    shares = size / full["parameters"]["counted"], found["operations"] / full["operations"]
    assert found["against"] == pytest.approx(
        {"name": "full", "parameters": shares[0], "operations": shares[1], "score": sum(shares)}
    )
    inspect.main(["full-2x-5bit", "--accounting", "micronet", "--against", "full", "--run", str(run.path)])
    assert f"score {sum(shares):.4f} (full: 2)" in capsys.readouterr().out


def test_with_a_cache_its_zeros_and_bits_stay(run, in_five_bits, monkeypatch):
    """The cache's two values are of five bits, each with a scale of its own, and the mask has a bit for each."""
    monkeypatch.setattr(cached, "search_cache", lambda *_: (NeuralCache(9), 1.0, 2.0))
    names = ["full-2x-5bit", "full-2x-5bit-cache"]
    cache.main([names[0], "--run", str(run.path)])
    assert len({(run.sub(name) / "pruned.json").read_bytes() for name in names}) == 1
    counted = [micronet_account(trained_network(run, name))["parameters"]["counted"] for name in names]
    assert counted[1] - counted[0] == pytest.approx(2 * (5 + 1) / 32 + 2)


def test_pruning_comes_first(run, in_five_bits, capsys):
    status, line = refused(capsys, run, "full-2x-5bit", "--rate", "2")
    assert status == 2
    assert "--rate 2: would undo the 5 bits of full-2x-5bit; prune first" in line


def test_the_average_is_what_its_decays_give(tmp_path):
    weight = torch.nn.Parameter(torch.tensor([0.0]))
    optimizer = torch.optim.SGD([weight], lr=1.0)
    average, expected = MovingAverage({"w": weight}, optimizer), None
    for update in range(1, 12000):
        weight.data.fill_(float(update % 7))
        average.after(update)
        share = max(0.001, 9 / (update + 9))
        expected = weight.item() if expected is None else expected + share * (weight.item() - expected)
    assert average.weights()["w"].item() == pytest.approx(expected, abs=1e-3)


def test_rounded_states_pass_gradients_within_their_bounds():
    rounding, x = StateRounding(), torch.tensor([-3.0, -1.9, 0.3, 0.26, 1.0, 2.5], requires_grad=True)
    assert torch.equal(rounding(x), x)
    rounding.activate(4, 1.75)
    found = rounding(x)
    found.sum().backward()
    torch.testing.assert_close(found.detach(), torch.tensor([-1.75, -1.75, 0.25, 0.25, 1.0, 1.75]))
    torch.testing.assert_close(x.grad, torch.tensor([0.0, 0.0, 1.0, 1.0, 1.0, 0.0]))


@pytest.mark.parametrize("killed_at", [None, 4, 15])
def test_what_was_removed_stays_zero_whatever_the_optimiser_does(tmp_path, killed_at):
    torch.manual_seed(1)
    weights = {"a": torch.randn(40, 30), "b": torch.randn(2, 3, 50), "c": torch.randn(7)}
    groups, aim = single_weights(["a", "b"], {name: weight.shape for name, weight in weights.items()}), (400, 30)
    before = there(groups, weights)
    pruner = Pruner(groups, weights, GRADUAL, before, Aim(430, aim), tmp_path)
    kept, counts = None, []
    for update in range(1, 21):
        for weight in weights.values():
            weight += 0.1 * torch.randn(weight.shape)
        pruner.after(update)
        now = {name: weight != 0 for name, weight in weights.items()}
        assert kept is None or not any((now[name] & ~kept[name]).any() for name in now)
        kept, left = now, there(groups, weights).counts
        counts.append(left)
        if update == killed_at:
            pruner = Pruner(groups, weights, GRADUAL, before, Aim(430, aim), tmp_path, update)
    assert kept["c"].all()
    expected = [
        tuple(end + round((all_ - end) * (1 - update / 10) ** 3) for end, all_ in zip(aim, (1200, 300), strict=True))
        for update in range(1, 11)
    ]
    assert counts == expected + 10 * [aim]


def test_a_section_means_by_itself_what_no_section_does(tmp_path):
    plain = make_run(tmp_path).config.compressing
    assert (plain.structure, plain.method, plain.distillation, plain.label_smoothing) == ("weights", "gradual", 0, 0)
    shared = {name: value for name, value in TRAINING.items() if name != "label_smoothing"}
    section = {**shared, "max_update": 40, "lr": TRAINING["lr"] / 2, "warmup_init_lr": plain.warmup_init_lr}
    (tmp_path / "other").mkdir()
    assert make_run(tmp_path / "other", compression=section).config.compressing == plain


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ({"structure": "columns"}, "compression.structure: columns can't be removed here; use weights or whole"),
        ({"method": "reweighted"}, "compression.method: reweighted shrinks groups; for structure: weights use gradual"),
        ({"distillation": 0.5}, "compression.distillation: 0.5: what is left of a language model learns from text"),
    ],
)
def test_settings_that_do_not_suit_single_weights_are_refused(tmp_path, section, message):
    with pytest.raises(UsageError, match=message):
        make_run(tmp_path, compression={**TRAINING, "max_update": 40, **section})
