"""hat-train-super --processes of a distilled classifier: its teacher and then itself, each in two processes."""

import tiny_classifier
from near_models import assert_near

from hat.cli import train_super
from hat.experiment.run_directory import FULL, RunDirectory

# Batches of half an update: one process takes two, each of two processes one.
TRAINING = {"max_update": 12, "warmup_updates": 2, "max_tokens": 400}
DISTILLATION = {"logits": 0.5, "hidden": 0.1}


def test_two_processes_train_the_teacher_and_its_pupil_that_one_process_does(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    super_training = {**TRAINING, "distillation": DISTILLATION}
    tiny_classifier.make_run(tmp_path, super_training=super_training, sub_training=TRAINING)
    for name, *processes in (["alone"], ["together", "--processes", "2"]):
        train_super.main(["tiny.yaml", "--run", name, *processes, "--device", "cpu", "--threads", "1"])
    alone, together = (RunDirectory(tmp_path / name) for name in ("alone", "together"))
    assert capsys.readouterr().out.count("an update: 2 processes x 1 batches of 400 tokens\n") == 2
    assert_near(alone.sub(FULL), together.sub(FULL))
    assert_near(alone.super_, together.super_)
