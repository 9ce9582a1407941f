"""The benchmark of a search's winner with classifiers and language models, against direct computations."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
import tiny_classifier
import tiny_language_run
import torch
from scipy.stats import binomtest, ttest_rel
from torch.nn import functional as F
from winners import StandaloneTrainings, finish_search, judge_winner

from hat import files
from hat.errors import UsageError
from hat.experiment.run_directory import RunDirectory
from hat.models.checkpoint import load_model
from hat.training.sub import train_sub

COUNT = 2  # random ones


def all_alike(architectures):
    """A predictor that gives every architecture the same milliseconds."""
    return np.ones(len(architectures))


def judged(patches, run, *arguments):
    """(what the benchmark's JSON says of the smallest network and COUNT random ones, the folder of the trainings)."""
    finish_search(run, run.config.search_space.smallest(), 9.0)
    judge_winner(patches, run, all_alike, "--count", str(COUNT), "--json", "out.json", *arguments)
    return json.loads(Path("out.json").read_text()), RunDirectory(run.path / "random" / "pick")


def by_name(found):
    """{id: row}"""
    rows = {row["id"]: row for row in (found["winner"], *found["random"])}
    assert list(rows)[0] == "winner"
    assert len(rows) == 1 + COUNT
    return rows


# --- a classifier ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def classifiers(tmp_path_factory):
    folder = tmp_path_factory.mktemp("classifiers")
    with pytest.MonkeyPatch.context() as patches:
        patches.chdir(folder)
        run = tiny_classifier.make_run(folder, sub_training={"init": "scratch", "max_update": 80})
        run.prepare()
        return judged(patches, run)


def logits_by_text(run, name):
    """(logits (texts, labels), label numbers (texts,)) of the validation split, each text alone."""
    model, prepared = load_model(run.sub(name)), run.prepared()
    ids = prepared.token_ids("valid")
    with torch.no_grad():
        logits = torch.cat([model(torch.as_tensor(np.asarray(ids[line]))[None].long()) for line in range(len(ids))])
    return logits, torch.from_numpy(prepared.label_ids("valid").astype(np.int64))


def test_classifiers_losses_and_accuracies_are_those_of_each_text_alone(classifiers):
    found, trained = classifiers
    assert found["score_title"] == "acc."
    for name, row in by_name(found).items():
        logits, labels = logits_by_text(trained, name)
        assert row["loss"] == pytest.approx(F.cross_entropy(logits, labels).item(), rel=1e-5)
        assert row["score"] == pytest.approx(100 * logits.argmax(-1).eq(labels).double().mean().item())
    best = max(found["random"], key=lambda row: row["score"])
    assert found["difference"]["score"] == pytest.approx(found["winner"]["score"] - best["score"])


def test_classifiers_are_compared_text_by_text(classifiers):
    found, trained = classifiers
    names = "winner", found["best_random"]["score"]
    found_by = [logits_by_text(trained, name) for name in names]
    ours, theirs = (logits.argmax(-1).eq(labels) for logits, labels in found_by)
    gained, lost = int((ours & ~theirs).sum()), int((theirs & ~ours).sum())
    rows = by_name(found)
    assert found["paired"] == pytest.approx(
        {
            "accuracy": rows["winner"]["score"],
            "baseline_accuracy": rows[names[1]]["score"],
            "p_value": binomtest(gained, gained + lost).pvalue if gained + lost else 1.0,
        }
    )


def test_trainings_from_another_pretrained_network_are_refused(classifiers, tmp_path, monkeypatch):
    run, weights = RunDirectory(classifiers[1].path.parents[1]), tmp_path / "model.safetensors"
    monkeypatch.setattr(type(run.task), "pretrained_files", lambda *_: (weights,))
    recipe = {"seed": 1, "precision": "fp32", **run.sections("sub_training")["sub_training"]}
    weights.write_bytes(b"one")
    for _ in range(2):
        StandaloneTrainings(tmp_path / "trainings", run, recipe)
    weights.write_bytes(b"another")
    with pytest.raises(UsageError, match="trainings holds trainings of another origins .pretrained: .* name another"):
        StandaloneTrainings(tmp_path / "trainings", run, recipe)


# --- language models, taught by written labels ----------------------------------------------------------------------


@pytest.fixture(scope="module")
def language_models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("language_models")
    training = {"max_update": 16, "warmup_updates": 2, "validate_every": 8, "save_every": 8}
    training |= {"distillation": {"top_k": 5}}
    with pytest.MonkeyPatch.context() as patches:
        patches.chdir(folder)
        run = tiny_language_run.make_run(folder, model={"cache": 20}, sub_training=training)
        run.prepare()
        train_sub(run, "full", run.config.search_space.full_transformer())
        return judged(patches, run, "--seeds", "2")


def line_losses(run, name):
    """(nats (lines,), words (lines,)) of the validation split, read at one go."""
    model, text = load_model(run.sub(name)), torch.from_numpy(run.prepared().stream("valid").astype(np.int64))
    read = torch.cat([text.new_tensor([model.spec.end_of_line]), text[:-1]])
    with torch.no_grad():
        logs = model.log_probabilities(model(read[None])[0], text[None])[0]
    losses = -logs.gather(1, text[:, None])[:, 0].double().numpy()
    ends = np.flatnonzero(text.numpy() == model.spec.end_of_line) + 1
    return np.add.reduceat(losses, [0, *ends[:-1]]), np.diff([0, *ends])


def test_language_models_losses_and_perplexities_are_those_of_the_whole_text(language_models):
    found, trained = language_models
    assert found["score_title"] == "ppl"
    folders = trained, RunDirectory(trained.path / "seed2")
    for name, row in by_name(found).items():
        sums = [line_losses(run, name) for run in folders]
        assert row["losses"] == pytest.approx([nats.sum() / words.sum() for nats, words in sums], rel=1e-5)
        assert row["score"] == pytest.approx(np.mean([math.exp(loss) for loss in row["losses"]]), rel=1e-5)
    lowest = min(found["random"], key=lambda row: row["score"])
    assert found["best_random"]["score"] == lowest["id"]
    assert found["rank"]["score"] == 1 + sum(row["score"] < found["winner"]["score"] for row in found["random"])


def test_language_models_are_compared_line_by_line_of_the_first_seed(language_models):
    found, trained = language_models
    rows, names = by_name(found), ("winner", found["best_random"]["score"])
    ours, theirs = (line_losses(trained, name)[0] for name in names)
    assert found["paired"]["p_value"] == pytest.approx(ttest_rel(ours, theirs).pvalue, rel=1e-3)
    expected = [math.exp(rows[name]["losses"][0]) for name in names]
    assert [found["paired"][f"{side}perplexity"] for side in ("", "baseline_")] == pytest.approx(expected, rel=1e-5)


def test_the_labels_of_the_teacher_are_written_once_for_all(language_models):
    _, trained = language_models
    run = RunDirectory(trained.path.parents[1])
    [labels] = (run.path / "distilled").iterdir()
    provenance = files.read_json(labels / "provenance.json", "")
    assert provenance["written"] == len(run.prepared().stream("train"))
    for folder in (trained.path, trained.path / "seed2"):
        assert (folder / "distilled").resolve() == labels.parent.resolve()
        origins = files.read_json(folder / "standalone.json", "")["origins"]
        assert origins == {"sub/full": files.sha256_of_file(run.sub("full") / "model.safetensors")}
        assert (folder / "sub" / "full").is_symlink()
