"""--fp16, on a CPU as on a GPU: what is kept are the optimiser's float32 weights; overflows are left out."""

import signal

import pytest
import torch
from deaths import assert_same_result, run_and_die
from safetensors.torch import load_file
from tiny_run import make_run

from hat.fairseq_plugin.trainer import HatTrainer
from hat.training.options import TrainingOptions
from hat.training.sub import train_sub
from hat.training.super import train_super

HALF = TrainingOptions(precision="fp16")


@pytest.fixture(autouse=True)
def _half_precision_on_a_cpu(monkeypatch):
    monkeypatch.setattr(TrainingOptions, "resolved_device", lambda options: "cpu")
    monkeypatch.setattr(torch.Tensor, "cuda", lambda tensor: tensor)  # fairseq's, after an overflow


def rounded_share(weights):
    """Of all weights, the share that float16 could hold as they are."""
    flat = torch.cat([weight.flatten() for weight in weights.values()])
    return float((flat == flat.half().float()).double().mean())


def test_a_supertransformer_keeps_the_weights_before_rounding(tmp_path):
    run = make_run(tmp_path)
    train_super(run, HALF)
    weights, best = (load_file(run.super_ / name) for name in ("model.safetensors", "checkpoints/best.safetensors"))
    assert rounded_share(best) < 0.3
    for name, weight in best.items():
        assert weight.dtype == torch.float32
        assert torch.equal(weights[name], weight), name
    rounded = torch.load(run.super_ / "checkpoints" / "checkpoint_last.pt")["model"]
    masters = torch.load(run.super_ / "checkpoints" / "checkpoint_last.pt")["extra_state"]["master_weights"]
    assert set(masters) == set(weights)
    for name, weight in masters.items():
        assert torch.equal(rounded[f"transformer.{name}"], weight.half()), name


def test_a_subtransformer_is_made_of_float32_weights_and_survives_kills(tmp_path):
    straight, killed = (make_run(_folder(tmp_path, name)) for name in ("straight", "killed"))
    architecture = straight.config.search_space.smallest()
    assert run_and_die(lambda: train_sub(straight, "small", architecture, HALF)) == 0
    assert run_and_die(lambda: train_sub(killed, "small", architecture, HALF), backward_passes=8) == -signal.SIGKILL
    assert run_and_die(lambda: train_sub(killed, "small", architecture, HALF)) == 0
    assert_same_result(straight.sub("small"), killed.sub("small"))
    saved = [load_file(path) for path in sorted((straight.sub("small") / "checkpoints").glob("update_*"))]
    assert len(saved) == 3
    choices = [{name: sum(each[name] for each in saved) / 3 for name in saved[0]}, saved[-1]]
    kept = load_file(straight.sub("small") / "model.safetensors")
    assert any(all(torch.allclose(kept[name], each[name], rtol=0, atol=1e-7) for name in kept) for each in choices)
    assert max(rounded_share(each) for each in saved) < 0.3


def test_an_overflow_is_left_out_and_the_training_goes_on(tmp_path, monkeypatch):
    run = make_run(tmp_path)
    step, results = HatTrainer.train_step, []

    def recording(trainer, *arguments):
        if not results:
            trainer.optimizer.scaler.loss_scale = 2.0**26
        results.append(step(trainer, *arguments))
        return results[-1]

    monkeypatch.setattr(HatTrainer, "train_step", recording)
    train_super(run, HALF)
    assert results[0] is None
    assert sum(result is not None for result in results) == run.config.super_training.max_update


def _folder(parent, name):
    folder = parent / name
    folder.mkdir()
    return folder
