"""Our task under fairseq's trainer and under its own commands."""

import re
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from fairseq.optim.adam import FairseqAdamConfig
from tiny_run import make_run

import hat
from hat.data.translation.prepared import PreparedData
from hat.fairseq_plugin.optimizer import HatAdam
from hat.fairseq_plugin.trainer import build_trainer, validate
from hat.fairseq_plugin.translation_model import HatModel
from hat.training.options import TrainingOptions
from hat.training.setup import make_trainer
from hat.training.strategies.lesson import Lesson
from hat.training.validation import named_subnets

PLUGIN = Path(hat.__file__).parent / "fairseq_plugin"


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return make_run(tmp_path_factory.mktemp("task"), super_training={"max_tokens": 100})


@pytest.fixture
def trainer(run, tmp_path):
    training = run.config.super_training
    arguments = ["--arch", "hat_supertransformer"]
    return make_trainer(run, PreparedData(run.data), training, arguments, TrainingOptions(device="cpu"), tmp_path)


def updates(trainer, count, size):
    batches = trainer.get_train_iterator(epoch=1).next_epoch_itr(shuffle=True)
    return [[next(batches) for _ in range(size)] for _ in range(count)]


def test_one_subtransformer_an_update_on_all_accumulation_steps(trainer, monkeypatch):
    active = []
    forward = HatModel.forward

    def recording(model, **inputs):
        active.append(model.transformer.active)
        return forward(model, **inputs)

    monkeypatch.setattr(HatModel, "forward", recording)
    for samples in updates(trainer, 3, size=2):
        trainer.train_step(samples)
    space, seed = trainer.task.experiment.search_space, trainer.task.experiment.seed
    expected = [space.sample(np.random.default_rng((seed, update))) for update in range(3)]
    assert active == [architecture for architecture in expected for _ in range(2)]
    assert len(set(active)) > 1


@pytest.mark.parametrize("precision", [["--autocast-bf16"], ["--fp16", "--fp16-no-flatten-grads"]])
def test_half_precision_trains_as_float32_does(run, tmp_path, precision):
    losses, weights = [], []
    for arguments in ([], precision):
        torch.manual_seed(1)
        model = ["--arch", "hat_supertransformer", "--cpu", "--save-dir", str(tmp_path), *arguments]
        trainer = build_trainer(PreparedData(run.data), run.path / "config.yaml", run.config.super_training, model, [])
        losses.append([float(trainer.train_step(samples)["loss"]) for samples in updates(trainer, 3, size=1)])
        weights.append(trainer.get_model().transformer.state_dict()["encoder.layers.0.fc1.weight"].float())
    assert losses[1] == pytest.approx(losses[0], abs=0.05)
    assert not torch.equal(*weights)  # the losses are rounded, so these tell that it was another precision


def test_layers_outside_the_subtransformer_stand_still_whatever_their_momentum(run, tmp_path):
    """An update of the largest, then one of the smallest: with a gradient of zeros, momentum and decay would show."""
    training = replace(run.config.super_training, weight_decay=0.1)
    arguments = ["--arch", "hat_supertransformer"]
    trainer = make_trainer(run, PreparedData(run.data), training, arguments, TrainingOptions(device="cpu"), tmp_path)
    space, transformer = run.config.search_space, trainer.get_model().transformer
    first, second = updates(trainer, 2, size=1)
    trainer.task.lessons = lambda _update: [Lesson(space.largest())]
    trainer.train_step(first)
    before = {name: tensor.clone() for name, tensor in transformer.state_dict().items()}
    trainer.task.lessons = lambda _update: [Lesson(space.smallest())]
    trainer.train_step(second)
    moved = {name for name, tensor in transformer.state_dict().items() if not torch.equal(tensor, before[name])}
    idle = {name for name in before if name.startswith(("encoder.layers.1.", "decoder.layers.1."))}
    assert len(idle) > 10
    assert not moved & idle
    assert {"encoder.embed_tokens.weight", "encoder.layers.0.fc1.weight", "decoder.layers.0.fc2.bias"} <= moved
    used = space.smallest().encoder
    wide = transformer.encoder.layers[0].fc1.weight[used.ffn_dim[0] :, :]
    assert not torch.equal(wide, before["encoder.layers.0.fc1.weight"][used.ffn_dim[0] :, :])  # a tensor used in part


@pytest.mark.parametrize("decay", [0.0, 0.1])
def test_rows_without_a_gradient_follow_momentum_and_decay(decay):
    """Adam with decoupled decay (Loshchilov and Hutter 2019), written out in float64; the second row is used once."""
    rate, betas, tiny = 0.1, (0.9, 0.98), 1e-8
    weight = torch.nn.Parameter(torch.tensor([[0.5, -1.0], [2.0, 0.25]]))
    settings = FairseqAdamConfig(adam_betas=str(betas), adam_eps=tiny, weight_decay=decay, lr=[rate])
    optimizer = HatAdam(settings, [weight])
    expected = weight.detach().double().clone()
    mean, square = torch.zeros_like(expected), torch.zeros_like(expected)
    for step, used in enumerate([[1.0, 1.0], [1.0, 0.0], [1.0, 0.0]], start=1):
        gradient = torch.tensor(used)[:, None] * torch.tensor([[0.3, -0.2], [0.4, 0.1]])
        weight.grad = gradient.clone()
        optimizer.step()
        mean = betas[0] * mean + (1 - betas[0]) * gradient
        square = betas[1] * square + (1 - betas[1]) * gradient**2
        bias = [1 - beta**step for beta in betas]
        expected = expected * (1 - rate * decay) - rate * (mean / bias[0]) / ((square / bias[1]).sqrt() + tiny)
        torch.testing.assert_close(weight.detach().double(), expected, rtol=1e-5, atol=1e-6)


def test_validation_scores_each_named_subnet(trainer, run):
    scored = validate(trainer)
    config = run.config
    subnets = named_subnets(config.search_space, config.seed, config.super_training.validation_subnets)
    assert set(scored) == {"smallest", "largest", "random1", "random2", "mean"} == {*subnets, "mean"}
    assert scored["mean"] == pytest.approx(sum(scored[name] for name in subnets) / len(subnets))
    model = trainer.get_model().transformer.eval()
    for name, architecture in subnets.items():
        assert scored[name] == pytest.approx(_nll(model.extract(architecture), trainer), abs=1e-5)


def _nll(model, trainer):
    total = count = 0.0
    for pair in trainer.task.dataset("valid"):
        source, target = pair["source"], pair["target"]
        inputs = torch.cat([target[-1:], target[:-1]])
        with torch.no_grad():
            log_probs = model(source[None], inputs[None]).log_softmax(-1)[0]
        total -= float(log_probs.gather(1, target[:, None]).sum())
        count += len(target)
    return total / count


def test_fairseqs_own_commands_train_and_translate(run, tmp_path, monkeypatch, capfd):
    import fairseq.models.wav2vec  # noqa: F401  # fairseq-generate's default; its own process imports all models
    from fairseq_cli import generate, train

    shared = [str(run.data), "--user-dir", str(PLUGIN), "--task", "hat_translation", "--cpu"]
    shared += ["--hat-config", str(run.path / "config.yaml")]
    saved = str(tmp_path / "checkpoints")
    training = (
        f"--arch hat_supertransformer --criterion hat_label_smoothed_cross_entropy "
        f"--label-smoothing 0.1 --optimizer adam --lr 0.01 --max-tokens 400 --max-update 5 --save-dir {saved} "
        "--log-format simple"
    )
    monkeypatch.setattr(sys, "argv", ["fairseq-train", *shared, *training.split()])
    train.cli_main()
    generation = f"--path {saved}/checkpoint_best.pt --gen-subset valid --beam 2 --max-len-b 20 "
    generation += "--required-batch-size-multiple 1"
    monkeypatch.setattr(sys, "argv", ["fairseq-generate", *shared, *generation.split()])
    generate.cli_main()
    assert len(re.findall(r"^H-\d+", capfd.readouterr().out, re.M)) == 20


def test_training_without_a_config_says_what_is_missing(run, monkeypatch):
    from fairseq_cli import train

    from hat.errors import UsageError

    command = f"fairseq-train {run.data} --task hat_translation --arch hat_supertransformer --max-tokens 400 --cpu"
    monkeypatch.setattr(sys, "argv", command.split())
    with pytest.raises(UsageError, match="--hat-config"):
        train.cli_main()
