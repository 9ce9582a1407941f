"""Teachers of language models: the loss against plain torch, labels against the teacher itself, kills and damage."""

import math
import shutil
import signal

import numpy as np
import pytest
import torch
from deaths import assert_same_result, run_and_die
from forked_ranks import together
from near_models import assert_near
from tiny_language_models import ADAPTIVE, WORDS, some_words, super_language_model
from tiny_language_run import make_run
from torch.nn import functional as F

from hat import files
from hat.errors import ArtifactError, UsageError
from hat.experiment.language_modeling import LanguageDistillationConfig
from hat.experiment.run_directory import FULL, RunDirectory
from hat.models.checkpoint import load_model, save_model
from hat.training import teacher_labels
from hat.training.sub import train_sub
from hat.training.teacher_labels import TeacherLabels, labels_directory, write_labels

# Batches of half an update: one process takes two, each of two processes one.
TRAINING = {"max_update": 16, "warmup_updates": 2, "max_tokens": 256, "validate_every": 8, "save_every": 8}


def log_probabilities(model, words):
    """Of all words of the text after those before it: (words, vocabulary)"""
    read = torch.cat([words.new_tensor([model.spec.end_of_line]), words[:-1]])
    return model.output.log_probabilities(model(read[None])[0][0])


@pytest.mark.parametrize("options", [{}, ADAPTIVE])
@pytest.mark.parametrize("count", [3, WORDS])
def test_the_loss_is_cross_entropy_with_what_is_left_of_the_labels(options, count):
    """With as many labels as words, it is that with the teacher's whole distribution, in the bins that count."""
    model, words = super_language_model(**options), some_words(1, 40)[0]
    logits = torch.randn(40, WORDS, generator=torch.Generator().manual_seed(3))
    probabilities, labels = logits.softmax(-1).topk(count)
    features = model(words[None])[0][0]
    losses, taught = model.output.taught_losses(features, words, labels, probabilities)

    edges = (0, *model.spec.cutoffs, WORDS)
    bins = torch.bucketize(torch.arange(WORDS), torch.tensor(edges[1:-1]), right=True)
    soft = torch.zeros(40, WORDS).scatter(1, labels, probabilities)
    soft[(bins != 0) & (bins != bins[words][:, None])] = 0
    alone = soft.sum(1) == 0
    soft[alone] = F.one_hot(words[alone], WORDS).float()
    soft /= soft.sum(1, keepdim=True)
    logs = model.output.log_probabilities(features)
    torch.testing.assert_close(taught, -(soft * logs).sum(1))
    torch.testing.assert_close(losses, model.output.losses(features, words))
    weights = list(model.parameters())
    found = torch.autograd.grad(taught.sum(), weights, retain_graph=True, allow_unused=True)
    expected = torch.autograd.grad(-(soft * logs).sum(), weights, allow_unused=True)
    for one, other in zip(found, expected, strict=True):
        if one is not None or other is not None:
            torch.testing.assert_close(one, other, atol=1e-4, rtol=1e-3)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A run whose full-size network is trained, and a small one by it."""
    folder = tmp_path_factory.mktemp("labels")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        still, distillation = {"output_dropout": 0.0}, {"top_k": 5}
        run = make_run(folder, model=still, sub_training={**TRAINING, "distillation": distillation})
        run.prepare()
        train_sub(run, "small", run.config.search_space.smallest())
        yield run


@pytest.fixture
def run(trained, tmp_path, monkeypatch):
    """The same without the small one."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(teacher_labels, "WORDS_A_PART", 500)
    shutil.copytree(trained.path, tmp_path / "run")
    shutil.rmtree(tmp_path / "run" / "sub" / "small")
    return RunDirectory(tmp_path / "run")


def labels_of(run):
    return labels_directory(run, run.config.sub_training.distillation)


def train_small(run):
    train_sub(run, "small", run.config.search_space.smallest())


def write(run):
    write_labels(run, run.config.sub_training.distillation, "cpu")


def contents(folder):
    return {name: (folder / name).read_bytes() for name in ("words.bin", "probabilities.bin")}


def test_the_labels_are_the_teachers_most_probable_words(trained):
    model, text = load_model(trained.sub(FULL)).eval(), torch.from_numpy(trained.prepared().stream("train").astype(int))
    labels = TeacherLabels(labels_of(trained))
    assert len(labels) == len(text)
    places = np.array([[0, 1, 2], [700, 1500, len(text) - 1]])
    words, probabilities = labels.at(places)
    with torch.no_grad():
        logs = log_probabilities(model, text)
    expected = logs.exp().topk(5)
    assert np.allclose(probabilities, expected.values[places], atol=1e-3)
    assert np.allclose(logs[places].gather(2, torch.from_numpy(words.astype(int))).exp(), probabilities, atol=1e-3)
    assert (words.dtype, probabilities.dtype) == (np.uint8, np.float16)


def shares_in_training(run):
    """The teacher's share of the loss in each batch of the small network's training."""
    recorded, lerp = [], torch.lerp
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch, "lerp", lambda *arguments: (recorded.append(arguments[2]), lerp(*arguments))[1])
        train_small(run)
    return recorded


def test_a_pupil_learns_and_how_much_the_teacher_counts_falls(trained, run):
    assert files.read_json_lines(trained.sub("small") / "metrics.jsonl")[-1]["valid"]["mean"] < 0.9 * math.log(15)
    recorded = shares_in_training(run)
    assert (recorded[0], recorded[-1]) == pytest.approx((0.5, 0.05))
    assert sorted(recorded, reverse=True) == recorded
    assert_same_result(trained.sub("small"), run.sub("small"))


def with_distillation(run, **settings):
    """`run` with these settings in place of those of its config."""
    config = run.config.to_dict()
    config["sub_training"]["distillation"] |= settings
    files.write_yaml(run.path / "config.yaml", config)
    return RunDirectory(run.path)


def test_a_share_may_climb_from_nothing(run):
    recorded = shares_in_training(with_distillation(run, word_level=0.0, last_word_level=0.4))
    assert (recorded[0], recorded[-1]) == pytest.approx((0, 0.4))
    assert sorted(recorded) == recorded


def test_without_any_share_nobody_teaches(run):
    run = with_distillation(run, word_level=0.0, last_word_level=0.0, teachers=["absent"])
    assert shares_in_training(run) == []
    with pytest.raises(UsageError, match="teachers: empty; name one, .* or set word_level and last_word_level to 0"):
        with_distillation(run, last_word_level=0.1, teachers=[])
    assert not LanguageDistillationConfig().taught_by(FULL, 0.0).by_word  # as what is left of a pruned one


def test_killed_while_labels_are_written_and_in_training_it_ends_with_the_same(trained, run):
    expected = contents(labels_of(trained))
    shutil.rmtree(labels_of(run))
    # Replaced at first: the architecture, then the provenance, where nothing and where 500 words are labelled.
    for replacements, written in ((4, 500), (3, 1000)):
        assert run_and_die(lambda: train_small(run), replacements) == -signal.SIGKILL
        assert files.read_json(labels_of(run) / "provenance.json", "")["written"] == written
    assert run_and_die(lambda: train_small(run), backward_passes=9) == -signal.SIGKILL
    assert contents(labels_of(run)) == expected
    train_small(run)
    assert_same_result(trained.sub("small"), run.sub("small"))


def test_two_processes_learn_what_one_does(trained, run):
    shutil.rmtree(labels_of(run))
    assert together(*2 * [lambda: train_small(run)]) == [None, None]
    assert_near(trained.sub("small"), run.sub("small"))


@pytest.mark.parametrize("name", ["words.bin", "probabilities.bin"])
def test_cut_off_or_damaged_labels_are_refused_and_nothing_is_lost(run, name):
    before, path = contents(labels_of(run)), labels_of(run) / name
    path.write_bytes(before[name][:-7])
    with pytest.raises(
        ArtifactError, match=rf"{name} is cut off \(\d+ bytes of {len(before[name])}\); remove .*labels"
    ):
        write(run)
    path.write_bytes(bytes([before[name][0] ^ 1]) + before[name][1:])
    with pytest.raises(ArtifactError, match=f"{name} is damaged; remove .*labels"):
        write(run)
    shutil.rmtree(labels_of(run))
    write(run)
    assert contents(labels_of(run)) == before


def test_another_teacher_writes_labels_of_its_own_and_foreign_ones_are_refused(run):
    before, old = contents(labels_of(run)), labels_of(run)
    teacher = load_model(run.sub(FULL))
    with torch.no_grad():
        next(teacher.parameters()).add_(0.1)
    save_model(run.sub(FULL), teacher)
    write(run)
    assert contents(old) == before != contents(labels_of(run))
    shutil.rmtree(labels_of(run))
    shutil.copytree(old, labels_of(run))
    with pytest.raises(ArtifactError, match="holds labels of other teachers, or of another text; remove .*labels"):
        write(run)


def test_more_labels_than_words_are_refused(run):
    with pytest.raises(UsageError, match="distillation.top_k: 99 is above the vocabulary's 15; lower it"):
        train_small(with_distillation(run, top_k=99))
