"""HAT's `.pt` checkpoints: loaded without unpickling more than tensors and options, or refused by name."""

import argparse

import pytest
import torch
from tiny import TINY_SPACE, tiny_spec

from hat.errors import ArtifactError
from hat.models.hat_checkpoint import load_hat_supertransformer
from hat.models.translation import SuperTransformer


def in_hats_names(model):
    """The model's weights as HAT's code saves them: fused in_proj, the shared embedding twice."""
    state = {"encoder.version": torch.ones(1)}
    for name, weight in model.state_dict().items():
        if ".kv_proj." in name:
            continue
        if ".q_proj." in name:
            weight = torch.cat([weight, model.state_dict()[name.replace("q_proj", "kv_proj")]])
        name = name.replace("qkv_proj.", "in_proj_").replace("q_proj.", "in_proj_")
        state[name] = weight
    state["decoder.embed_tokens.weight"] = state["encoder.embed_tokens.weight"]
    return state


def test_checkpoint_file_gives_the_same_weights(tmp_path):
    model = SuperTransformer(TINY_SPACE, tiny_spec())
    path = tmp_path / "checkpoint.pt"
    torch.save({"model": in_hats_names(model), "args": argparse.Namespace(arch="x")}, path)
    loaded = load_hat_supertransformer(path, TINY_SPACE).state_dict()
    assert loaded.keys() == model.state_dict().keys()
    for name, weight in model.state_dict().items():
        torch.testing.assert_close(loaded[name], weight, atol=0, rtol=0)


def test_damaged_and_missing_files_are_refused(tmp_path):
    path = tmp_path / "checkpoint.pt"
    with pytest.raises(ArtifactError, match="no such file"):
        load_hat_supertransformer(path, TINY_SPACE)
    path.write_bytes(b"not a checkpoint")
    with pytest.raises(ArtifactError, match="not a readable HAT checkpoint"):
        load_hat_supertransformer(path, TINY_SPACE)
