"""Hebbian softmax against the rule, word by word, and through a training that is stopped."""

import sys

import pytest
import torch
from tiny_language_models import ADAPTIVE, some_words, super_language_model
from tiny_language_run import make_run

from hat.errors import UsageError
from hat.experiment.language_modeling import HebbianConfig
from hat.fairseq_plugin.language_model_model import HatLanguageModel
from hat.models.checkpoint import load_model
from hat.training import processes
from hat.training.hebbian import HebbianUpdates
from hat.training.loop import TrainingLoop
from hat.training.sub import train_sub

GAMMA, LIMIT = 0.3, 5


def by_rule(table, states, seen):
    """The table after an update with {word: [states that preceded it]}, and `seen` after it."""
    table, seen = table.clone(), dict(seen)
    for word, before in states.items():
        earlier = seen.get(word, 0)
        seen[word] = earlier + len(before)
        rate = max(1 / seen[word], GAMMA) if earlier < LIMIT else 0
        mean = torch.stack([table[word].norm() * h / h.norm() for h in before]).mean(dim=0)
        table[word] = (1 - rate) * table[word] + rate * mean
    return table, seen


def states_by_word(network, words, targets, index):
    """{number in the bin: the states, projected, that preceded its word}"""
    bins, found = network.embedding.bins, {}
    with torch.no_grad():
        features = network(words)[0]
    for state, target in zip(features.flatten(0, 1), targets.flatten().tolist(), strict=True):
        if bins.edges[index] <= target < bins.edges[index + 1]:
            with torch.no_grad():
                state = network.output.projections[index - 1](state) if index else state
            found.setdefault(target - bins.edges[index], []).append(state)
    return found


def test_tables_move_by_the_rule_and_stop_at_the_limit():
    model = HatLanguageModel(super_language_model(**ADAPTIVE))  # evaluation mode: no dropout
    network = model.transformer
    tables = [table.weight for table in network.embedding.tables]
    optimizer = torch.optim.SGD(network.parameters(), lr=0.0)  # moves nothing itself
    updates = HebbianUpdates(network.output, tables, HebbianConfig(GAMMA, LIMIT), optimizer)
    seen = [{} for _ in tables]
    for update in range(3):
        words, targets = (some_words(3, 17, seed=10 * update + number) for number in (1, 2))
        expected = []
        for index, table in enumerate(tables):
            states = states_by_word(network, words, targets, index)
            after, seen[index] = by_rule(table.detach(), states, seen[index])
            expected.append(after)
        for rows in (slice(1), slice(1, None)):  # an update of two batches
            with torch.no_grad():
                updates.see(network(words[rows])[0].flatten(0, 1), targets[rows].flatten())
        optimizer.step()
        for table, after in zip(tables, expected, strict=True):
            torch.testing.assert_close(table.detach(), after, atol=1e-6, rtol=0)
    assert max(max(counts.values()) for counts in seen) > LIMIT


def test_a_training_that_is_stopped_ends_with_the_same_weights_and_others_than_without(tmp_path, monkeypatch):
    def trained(folder, hebbian, stop=None):
        folder.mkdir()
        monkeypatch.chdir(folder)
        run = make_run(folder, sub_training={"max_update": 20, "hebbian": hebbian})
        run.prepare()
        if stop:
            run_on = TrainingLoop.run
            with monkeypatch.context() as patch:
                patch.setattr(TrainingLoop, "run", lambda self: (run_on(self, until=stop), sys.exit(9)))
                with pytest.raises(SystemExit):
                    train_sub(run, "full", run.config.search_space.full_transformer())
        train_sub(run, "full", run.config.search_space.full_transformer())
        return load_model(run.sub("full")).state_dict()

    settings = {"gamma": 0.01, "limit": 300}
    straight, stopped = trained(tmp_path / "a", settings), trained(tmp_path / "b", settings, stop=13)
    assert all(torch.equal(weight, stopped[name]) for name, weight in straight.items())
    without = trained(tmp_path / "c", None)
    assert not torch.equal(without["embedding.tables.0.weight"], straight["embedding.tables.0.weight"])


def test_several_processes_are_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run = make_run(tmp_path, sub_training={"hebbian": {}})
    monkeypatch.setattr(processes, "world_size", lambda: 2)
    with pytest.raises(UsageError, match=r"sub_training\.hebbian: .*leave out --processes"):
        run.task.begin_training(None, run.config.sub_training)
