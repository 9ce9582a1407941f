"""Of the mean of a training's last weights and the last ones, those with the lower validation loss are kept."""

import pytest
from safetensors.numpy import load_file
from tiny_run import make_run

from hat.models.translation import Transformer
from hat.training import recipe
from hat.training.averaging import average_weights
from hat.training.sub import train_sub


def _trained(directory):
    """(weights kept, {what: weights} that they were chosen from) of the tiny run's smallest network."""
    run = make_run(directory)
    train_sub(run, "small", run.config.search_space.smallest())
    snapshots = sorted((run.sub("small") / "checkpoints").glob("update_*"))
    assert [path.stem for path in snapshots] == ["update_0000006", "update_0000009", "update_0000012"]
    saved = [load_file(path) for path in snapshots]
    mean = {name: sum(each[name] for each in saved) / 3 for name in saved[0]}
    return load_file(run.sub("small") / "model.safetensors"), {"mean": mean, "last": saved[-1]}


@pytest.fixture
def loaded(monkeypatch):
    """The weights that a Transformer is given as a whole, in their order."""
    given, load = [], Transformer.load_state_dict

    def recorded(model, weights):
        given.append(weights)
        return load(model, weights)

    monkeypatch.setattr(Transformer, "load_state_dict", recorded)
    return given


@pytest.mark.parametrize(("losses", "kept"), [((2.0, 1.0), "last"), ((1.0, 2.0), "mean"), ((1.0, 1.0), "mean")])
def test_the_better_of_mean_and_last_is_kept(tmp_path, monkeypatch, loaded, losses, kept):
    given = iter(losses)
    monkeypatch.setattr(recipe, "validate", lambda trainer: {"mean": next(given)})
    weights, choices = _trained(tmp_path)
    for name, weight in weights.items():
        assert weight == pytest.approx(choices[kept][name], abs=1e-6), name
    assert len(loaded) == (2 if kept == "last" else 3)  # the mean again, where the last ones took its place


def test_where_the_loss_still_falls_the_mean_lags_behind(tmp_path):
    weights, choices = _trained(tmp_path)  # twelve updates from scratch
    for name, weight in weights.items():
        assert weight == pytest.approx(choices["last"][name], abs=1e-6), name


def test_one_saved_state_is_taken_as_it_is(tmp_path, monkeypatch, loaded):
    read = []

    def recorded(paths):
        read.append(len(paths))
        return average_weights(paths)

    monkeypatch.setattr(recipe, "average_weights", recorded)
    run = make_run(tmp_path, sub_training={"average_checkpoints": 1})
    train_sub(run, "small", run.config.search_space.smallest())
    assert read == [1]
    assert len(loaded) == 1
