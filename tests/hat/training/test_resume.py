"""Training killed with SIGKILL at its worst moments and run again ends bit for bit as if never interrupted."""

import contextlib
import signal

import pytest
import torch
from deaths import assert_same_result, run_and_die
from tiny_run import make_run

from hat import files
from hat.experiment.run_directory import RunDirectory
from hat.training.options import TrainingOptions
from hat.training.sub import train_briefly, train_sub
from hat.training.super import train_super


@pytest.fixture(scope="module")
def straight(tmp_path_factory):
    """A run whose SuperTransformer and smallest SubTransformer were trained without interruption."""
    run = make_run(tmp_path_factory.mktemp("straight"))
    assert run_and_die(lambda: train_super(run)) == 0
    assert run_and_die(lambda: train_sub(run, "small", run.config.search_space.smallest())) == 0
    return run


@pytest.fixture
def killed(tmp_path):
    """A run of the same, not trained yet."""
    return make_run(_folder(tmp_path, "killed"))


def test_super_training_survives_kills(straight, killed):
    deaths = [{"replacements": 3}, {"backward_passes": 9}, {"replacements": 6}, {"backward_passes": 17}]
    for death in deaths:
        assert run_and_die(lambda: train_super(killed), **death) == -signal.SIGKILL
        assert not (killed.super_ / "done.json").exists()
    assert run_and_die(lambda: train_super(killed)) == 0
    assert_same_result(straight.super_, killed.super_)


def test_sub_training_survives_kills(straight, killed):
    architecture = straight.config.search_space.smallest()
    for death in ({"replacements": 5}, {"replacements": 7}, {"backward_passes": 5}):
        assert run_and_die(lambda: train_sub(killed, "small", architecture), **death) == -signal.SIGKILL
    assert run_and_die(lambda: train_sub(killed, "small", architecture)) == 0
    assert_same_result(straight.sub("small"), killed.sub("small"))


def test_training_that_stops_now_and_then_ends_as_if_it_never_had(straight, killed):
    """Updates 4 and 7 are on no grid: neither a snapshot nor a line of the metrics may come of stopping there."""
    stopped, architecture = killed, straight.config.search_space.smallest()

    def briefly(until):
        return lambda: train_briefly(stopped, "small", architecture, until)

    assert run_and_die(briefly(4)) == 0
    assert run_and_die(briefly(7), backward_passes=2) == -signal.SIGKILL
    assert run_and_die(briefly(7)) == 0
    finalist = stopped.finalist(architecture)
    assert torch.load(finalist / "checkpoints" / "checkpoint_last.pt")["optimizer_history"][-1]["num_updates"] == 7
    losses = files.read_json(finalist / "brief.json", "")["losses"]
    assert set(losses) == {"4", "7"}
    assert run_and_die(briefly(7), backward_passes=1) == 0  # nothing is left to do
    assert run_and_die(lambda: train_sub(stopped, "small", architecture), replacements=3) == -signal.SIGKILL
    assert run_and_die(lambda: train_sub(stopped, "small", architecture), backward_passes=6) == 0  # 5 updates are left
    assert_same_result(straight.sub("small"), stopped.sub("small"))


def test_brief_training_ends_with_the_loss_of_its_weights_there(tmp_path):
    run = make_run(_folder(tmp_path, "run"))
    architecture = run.config.search_space.smallest()
    loss = train_briefly(run, "small", architecture, 6)
    row = files.read_json_lines(run.finalist(architecture) / "metrics.jsonl")[-1]
    assert (row["update"], row["valid"]["mean"]) == (6, pytest.approx(loss, abs=1e-6))
    assert train_briefly(run, "small", architecture, 6) == loss
    assert train_briefly(run, "small", architecture, 3) != loss  # earlier than it has come: from the start


def test_a_training_with_other_inputs_does_not_go_on_from_a_brief_one(tmp_path):
    run, other = (make_run(_folder(tmp_path, name)) for name in ("run", "other"))
    architecture = run.config.search_space.smallest()
    train_briefly(run, "small", architecture, 6)
    longer = TrainingOptions(max_update=14)
    for each in (run, other):
        train_sub(each, "small", architecture, longer)
    assert_same_result(run.sub("small"), other.sub("small"))


def test_how_often_a_training_saves_may_change_on_the_way(straight, killed):
    assert run_and_die(lambda: train_super(killed), backward_passes=17) == -signal.SIGKILL
    changed = _configured(killed, save_every=7, validate_every=10)
    left = 40 - 2 * 6  # batches after the checkpoint of update 6
    assert run_and_die(lambda: train_super(changed), backward_passes=left + 1) == 0
    ends = [torch.load(run.super_ / "checkpoints" / "checkpoint_last.pt") for run in (straight, changed)]
    for name, tensor in ends[0]["model"].items():
        assert torch.equal(tensor, ends[1]["model"][name]), name


def test_a_brief_training_is_not_repeated_for_another_rhythm_of_saving(tmp_path):
    run = make_run(_folder(tmp_path, "run"))
    architecture = run.config.search_space.smallest()
    loss = train_briefly(run, "small", architecture, 6)
    changed = _configured(run, section="sub_training", save_every=2, average_checkpoints=2)
    assert run_and_die(lambda: train_briefly(changed, "small", architecture, 6), backward_passes=1) == 0
    assert train_briefly(changed, "small", architecture, 6) == loss


def test_a_longer_training_goes_on_where_the_rate_does_not_depend_on_its_length(straight, tmp_path):
    longer = make_run(_folder(tmp_path, "longer"))
    assert run_and_die(lambda: train_super(longer, TrainingOptions(max_update=12))) == 0
    assert run_and_die(lambda: train_super(longer), backward_passes=2 * 8 + 1) == 0
    ends = [torch.load(run.super_ / "checkpoints" / "checkpoint_last.pt") for run in (straight, longer)]
    for name, tensor in ends[0]["model"].items():
        assert torch.equal(tensor, ends[1]["model"][name]), name


@pytest.mark.parametrize("change", [{"max_update": 14}, {"lr": 0.02}])  # of a cosine schedule
def test_checkpoints_of_another_training_move_aside(tmp_path, capsys, change):
    run = make_run(_folder(tmp_path, "run"))
    architecture = run.config.search_space.smallest()
    train_sub(run, "small", architecture)
    folder = run.sub("small") / "checkpoints"
    before = (folder / "checkpoint_last.pt").read_bytes()
    train_sub(_configured(run, section="sub_training", **change), "small", architecture)
    aside = folder.with_name("checkpoints.old-1")
    assert f"warning: the checkpoints in {folder} are of another training; they are now in {aside}" in (
        capsys.readouterr().out
    )
    assert (aside / "checkpoint_last.pt").read_bytes() == before
    assert torch.load(folder / "checkpoint_last.pt")["optimizer_history"][-1]["num_updates"] == (
        change.get("max_update", 12)
    )


def _configured(run, section="super_training", **changes):
    """The run with these settings in its config."""
    config = run.config.to_dict()
    config[section] = {**config[section], **changes}
    files.write_yaml(run.path / "changed.yaml", config)
    with contextlib.chdir(run.path.parent):  # where it puts runs/latest
        return RunDirectory.create(run.path / "changed.yaml", run.path)


def _folder(parent, name):
    folder = parent / name
    folder.mkdir()
    return folder
