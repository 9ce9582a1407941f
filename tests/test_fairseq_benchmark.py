"""The benchmark beside fairseq, on a tiny run: its peer is the same network, and its figures are of the same calls."""

import json
import sys
from pathlib import Path

import pytest
import tiny_run
from deployed import peaked_weights, torch_model

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "benchmarks"))  # its modules import each other by name

import fairseq_speed as benchmark

from hat.cli import export
from hat.experiment.run_directory import FULL, mark_done
from hat.models.checkpoint import save_model

SENTENCES = 15
PRE_NORM = {"normalize_before": True}
NOT_SHARED = {"activation": "gelu", "share_all_embeddings": False}


def exported_run(folder, model=PRE_NORM, qkv_dim=24, **decoder):
    """A run whose full-size network has peaked random weights, and its fp32 bundle; `decoder` changes its space."""
    space = tiny_run.CONFIG["search_space"]
    stacks = {"encoder": {**space["encoder"], "layers": [2]}, "decoder": {**space["decoder"], **decoder}}
    space = {"qkv_dim": qkv_dim, **stacks}
    run = tiny_run.make_run(folder, model=model, search_space=space)
    architecture, spec = run.config.search_space.full_transformer(), run.spec()
    save_model(run.sub(FULL), torch_model(architecture, spec, peaked_weights(architecture, spec, 3)))
    mark_done(run.sub(FULL), "random", [])
    export.main([FULL, "--precision", "fp32", "--run", str(run.path)])
    return run


@pytest.mark.parametrize("model", [PRE_NORM, NOT_SHARED], ids=["pre-norm, shared", "post-norm, not shared"])
def test_peer_is_the_same_network(tmp_path, model, monkeypatch):
    monkeypatch.setattr("os.sched_setaffinity", lambda *_: None)  # of this process, which has other tests to run
    run = exported_run(tmp_path, model)
    path = tmp_path / "found.json"
    benchmark.main(["--run", str(run.path), "--sentences", str(SENTENCES), "--json", str(path)])
    found = json.loads(path.read_text())
    assert (found["same"], found["sentences"]) == (SENTENCES, SENTENCES)
    (row,) = found["bundles"]
    assert (row["name"], row["precision"]) == (FULL, "fp32")
    assert row["faster"] == found["median_ms"] / row["median_ms"]


@pytest.mark.parametrize(
    ("space", "names", "status", "said"),
    [
        ({"qkv_dim": 16}, [], 2, "isn't as wide as its layers"),
        ({"cross_attention_heads": [2]}, [], 2, "with another number of heads than to itself"),
        ({"cross_attention_span": [2]}, [], 2, "to more than its last layer"),
        ({}, ["picked"], 4, "run hat-export picked"),
    ],
)
def test_what_cannot_be_compared_is_told(tmp_path, capsys, space, names, status, said):
    run = exported_run(tmp_path, **space)
    with pytest.raises(SystemExit) as ended:
        benchmark.main(["--run", str(run.path), "--names", *names])
    assert ended.value.code == status
    assert said in capsys.readouterr().err
