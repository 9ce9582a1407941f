"""hat-compress --processes: what two of them leave of a classifier is what one does."""

import pytest
import tiny_classifier
from near_models import assert_near

from hat.cli import compress

# Batches of half an update: one process takes two, each of two processes one.
TRAINING = {"max_update": 12, "warmup_updates": 2, "max_tokens": 400}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("processes")
    compression = {**TRAINING, "lr": 0.002, "tokens_per_update": 800, "renewals": 2}
    return tiny_classifier.trained_run(folder, sub_training=TRAINING, compression=compression)


@pytest.mark.parametrize("target", [("--rate", "1.5"), ("--weights", "int4")])
def test_two_processes_leave_what_one_does(run, capsys, target):
    for name, *count in (["alone"], ["together", "--processes", "2"]):
        compress.main(["full", *target, "--name", name, *count, "--run", str(run.path), "--threads", "1"])
    said = capsys.readouterr().out
    assert said.count("an update: 2 processes x 1 batches of 400 tokens\n") == 1
    assert said.count("all compressed networks: ") == 2
    assert_near(run.sub("alone"), run.sub("together"))
    read = [(run.sub(name) / "pruned.json").read_text() for name in ("alone", "together")]
    assert read[0] == read[1]
