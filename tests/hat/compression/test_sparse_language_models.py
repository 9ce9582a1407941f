"""Language models that lose single weights: through hat-compress, killed and resumed, and what is refused."""

import json
import signal

import pytest
import torch
from deaths import assert_same_result, run_and_die
from tiny_language_run import TRAINING, make_run

from hat.architecture.complexity import parameter_shapes
from hat.architecture.groups import single_weights
from hat.cli import compress as command
from hat.compression.pruning.pruner import Aim, Pruner, there
from hat.compression.sparse import tensors
from hat.errors import UsageError
from hat.experiment.sections import CompressionConfig
from hat.models.checkpoint import load_model
from hat.training.sub import train_sub

GRADUAL = CompressionConfig(max_update=20, warmup_updates=0, lr=0.1, structure="weights", method="gradual")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A language model's run with the full-size network trained, and half of its weights pruned."""
    made = make_run(tmp_path_factory.mktemp("sparse"))
    made.prepare()
    train_sub(made, "full", made.config.search_space.full_transformer())
    call(made, "full", "--rate", "2")
    return made


def call(run, *arguments):
    command.main([*arguments, "--run", str(run.path), "--threads", "1"])


def prunable(model):
    """{name: weights} of all tensors of which single weights may be removed."""
    shapes, weights = parameter_shapes(model.architecture, model.spec), model.state_dict()
    return {each.place: weights[each.place] for each in tensors(shapes)}


def test_half_of_all_weights_stay_of_each_tensor_as_many_as_was_found(run):
    model, dense = (load_model(run.sub(name)) for name in ("full-2x", "full"))
    weights, report = prunable(model), json.loads((run.sub("full-2x") / "pruned.json").read_text())
    left = {name: int(torch.count_nonzero(weight)) for name, weight in weights.items()}
    aim = json.loads((run.sub("full-2x") / "aim.json").read_text())["state"]
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
        (["--size", "1MB"], "--size 1MB: zeros of single weights, which language models are pruned by, make no bundle"),
        (["--weights", "int4"], "--weights int4: zeros of single weights"),
    ],
)
def test_what_can_not_be_reached_is_told_in_a_line(run, capsys, arguments, message):
    with pytest.raises(SystemExit) as ended:
        call(run, "full", *arguments)
    (line,) = capsys.readouterr().err.splitlines()
    assert ended.value.code == 2
    assert message in line


def test_killed_and_run_again_it_is_the_same_to_the_bit(run, tmp_path):
    """Also while sensitivities are measured: what was, isn't again."""
    again = ["full", "--rate", "2", "--name", "again"]
    for death in ({"replacements": 20}, {"replacements": 100}, {"backward_passes": 13}, {"backward_passes": 25}):
        assert run_and_die(lambda: call(run, *again), **death) == -signal.SIGKILL
    assert run_and_die(lambda: call(run, *again)) == 0
    assert_same_result(run.sub("full-2x"), run.sub("again"))


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


@pytest.mark.parametrize(
    ("section", "message"),
    [
        (
            {"structure": "whole", "distillation": 0.0},
            "compression.structure: whole can't be removed here; use weights",
        ),
        ({"structure": "weights"}, "compression.method: reweighted shrinks groups; for structure: weights use gradual"),
        ({"structure": "weights", "method": "gradual"}, "compression.distillation: 0.5: what is left of a language"),
    ],
)
def test_settings_that_do_not_suit_single_weights_are_refused(tmp_path, section, message):
    with pytest.raises(UsageError, match=message):
        make_run(tmp_path, compression={**TRAINING, "max_update": 40, **section})
