"""Dropout draws other numbers on every rank and in every batch, as the seed, the update and the rank say."""

import hashlib

import torch
from forked_ranks import together
from tiny_run import make_run

from hat.fairseq_plugin.translation_model import HatModel
from hat.training.super import train_super

SETTINGS = {"max_update": 6, "warmup_updates": 2, "tokens_per_update": 1600, "validate_every": 6, "save_every": 3}


def digest(state):
    return hashlib.sha256(bytes(state)).hexdigest()


def states_of(run, monkeypatch):
    """A function that trains and returns the generator's state before each forward pass of a training batch."""
    forward, states = HatModel.forward, []

    def recording(model, *arguments, **options):
        if model.training:
            states.append(digest(torch.get_rng_state()))
        return forward(model, *arguments, **options)

    monkeypatch.setattr(HatModel, "forward", recording)

    def train():
        train_super(run)
        return states

    return train


def test_no_two_batches_of_any_rank_draw_the_same(tmp_path, monkeypatch):
    run = make_run(tmp_path, super_training=SETTINGS)
    train = states_of(run, monkeypatch)
    ranks = together(train, train)
    drawn = [state for states in ranks for state in states]
    assert len(drawn) > 2 * 6
    assert len(set(drawn)) == len(drawn)
    seeded = [digest(torch.manual_seed(run.config.seed + update).get_state()) for update in range(6)]
    assert set(seeded) <= set(ranks[0])  # as fairseq seeds one process
