"""The strategies' lessons, and that an update's gradients are those of all its lessons."""

import numpy as np
import pytest
import torch
import yaml
from tiny import TINY_SPACE
from tiny_run import CONFIG, make_run
from torch.nn import functional as F

from hat.data.translation.prepared import PreparedData
from hat.errors import UsageError
from hat.experiment.config import load_experiment
from hat.training.options import TrainingOptions
from hat.training.setup import make_trainer
from hat.training.strategies import STRATEGIES
from hat.training.strategies.lesson import Lesson

SEED = 5
STILL = {"dropout": 0.0, "attention_dropout": 0.0}


@pytest.mark.parametrize("name", STRATEGIES)
def test_lessons_follow_from_seed_and_update_alone(name):
    def lessons(seed, update):
        return STRATEGIES[name](TINY_SPACE, seed, update)

    assert lessons(SEED, 3) == lessons(SEED, 3)
    assert len({tuple(lessons(SEED, update)) for update in range(20)}) > 15
    assert lessons(SEED, 3) != lessons(SEED + 1, 3)
    assert all(lesson.architecture in TINY_SPACE for lesson in lessons(SEED, 3))


def test_the_config_names_every_strategy(tmp_path):
    for name in STRATEGIES:
        assert STRATEGIES[strategy_of(tmp_path, name)] is STRATEGIES[name]
    with pytest.raises(UsageError, match="super_training.strategy: 'sandwitch' is not one of uniform, sandwich"):
        strategy_of(tmp_path, "sandwitch")


def strategy_of(folder, name):
    training = {**CONFIG["super_training"], "strategy": name}
    (folder / "named.yaml").write_text(yaml.safe_dump({**CONFIG, "super_training": training}))
    return load_experiment(folder / "named.yaml").super_training.strategy


def test_uniform_is_the_papers():
    expected = TINY_SPACE.sample(np.random.default_rng((SEED, 7)))
    assert STRATEGIES["uniform"](TINY_SPACE, SEED, 7) == [Lesson(expected)]


@pytest.mark.parametrize("sentences", [3, 4, 11])
def test_the_sandwich_deals_out_every_sentence(sentences):
    lessons = STRATEGIES["sandwich"](TINY_SPACE, SEED, 0)
    assert [lesson.architecture for lesson in lessons[:2]] == [TINY_SPACE.largest(), TINY_SPACE.smallest()]
    target = torch.arange(2, 2 + sentences).repeat(2, 1).t()
    target[0, 1] = 1
    inputs = {"src_tokens": target, "src_lengths": target[:, 0], "prev_output_tokens": target}
    sample = {"id": torch.arange(sentences), "target": target, "net_input": inputs, "ntokens": 2 * sentences - 1}
    parts = [lesson.sentences(sample, padding=1) for lesson in lessons]
    dealt = [number for part in parts for number in part["id"].tolist()]
    if sentences >= len(lessons):
        assert sorted(dealt) == list(range(sentences))
        assert sum(part["ntokens"] for part in parts) == sample["ntokens"]
    else:
        assert set(dealt) == set(range(sentences))
        assert all(part["nsentences"] == len(part["target"]) == 1 for part in parts)


def trainer_for(folder, strategy):
    run = make_run(
        folder, model=STILL, super_training={"strategy": strategy, "max_tokens": 200, "tokens_per_update": 200}
    )
    options = TrainingOptions(device="cpu")
    arguments = ["--arch", "hat_supertransformer"]
    return make_trainer(run, PreparedData(run.data), run.config.super_training, arguments, options, folder / "saved")


def gradients_of_an_update(trainer, sample):
    model, task = trainer.get_model(), trainer.task
    trainer.zero_grad()
    loss, tokens, output = task.train_step(sample, model, trainer.get_criterion(), trainer.optimizer, 0)
    gradients = {name: weight.grad for name, weight in model.named_parameters() if weight.grad is not None}
    return loss, tokens, output, gradients


def test_sandwich_gradients_are_those_of_each_subtransformer_on_its_share(tmp_path):
    trainer = trainer_for(tmp_path, "sandwich")
    sample = next(trainer.get_train_iterator(epoch=1).next_epoch_itr(shuffle=True))
    loss, tokens, output, found = gradients_of_an_update(trainer, sample)
    transformer = trainer.get_model().transformer
    transformer.zero_grad()
    expected_loss = 0.0
    for number, lesson in enumerate(trainer.task.lessons(0)):
        transformer.activate(lesson.architecture)
        rows = slice(number, None, 4)
        logits = transformer(*(sample["net_input"][name][rows] for name in ("src_tokens", "prev_output_tokens")))
        target = sample["target"][rows].flatten()
        # torch's label smoothing spreads over all words, fairseq's over all others
        smoothing = 0.1 * logits.size(-1) / (logits.size(-1) - 1)
        part = F.cross_entropy(logits.flatten(0, 1), target, ignore_index=1, reduction="sum", label_smoothing=smoothing)
        part.backward()
        expected_loss += float(part.detach())
    assert float(loss.detach()) == pytest.approx(expected_loss, rel=1e-5)
    assert tokens == sample["ntokens"] == output["ntokens"]
    for name, weight in trainer.get_model().named_parameters():
        if name in found:
            torch.testing.assert_close(found[name], weight.grad, rtol=1e-4, atol=1e-4)
