"""Distillation: teachers' targets against plain torch, the distilled text against fairseq's search, kills, errors."""

import shutil
import signal
from dataclasses import replace

import pytest
import torch
from deaths import assert_same_result, run_and_die
from sentencepiece import SentencePieceProcessor
from tiny_run import make_run

from hat import files
from hat.data.translation.prepared import PreparedData
from hat.errors import ArtifactError, UsageError
from hat.experiment.run_directory import FULL, RunDirectory, mark_done
from hat.experiment.sections import DistillationConfig
from hat.export.bundles import export
from hat.fairseq_plugin.datasets import load_split
from hat.fairseq_plugin.generation import translate_ids
from hat.fairseq_plugin.teachers import Teachers
from hat.models.checkpoint import load_model, save_model
from hat.models.translation import Transformer
from hat.training import distilled_text, parallel
from hat.training.distillation import distillation_inputs, distillation_of, training_dependencies
from hat.training.distilled_text import distilled_data
from hat.training.options import TrainingOptions
from hat.training.parallel import Job, train_all
from hat.training.setup import make_trainer
from hat.training.sub import brief_loss, train_sub

BOTH = {"word_level": 0.5, "sequence_level": "beside", "sequence_beam": 3}


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A run whose full-size Transformer is trained."""
    still = {"dropout": 0.0, "attention_dropout": 0.0}
    run = make_run(tmp_path_factory.mktemp("distillation"), model=still, sub_training={"distillation": BOTH})
    train_sub(run, FULL, run.config.search_space.full_transformer())
    return run


@pytest.fixture
def run(trained, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return RunDirectory(shutil.copytree(trained.path, tmp_path / "run"))


def with_settings(run, **settings):
    """The run, with these distillation settings in its config."""
    config = run.config.to_dict()
    config["sub_training"]["distillation"] = settings
    files.write_yaml(run.path / "config.yaml", config)
    return RunDirectory(run.path)


def make_student_trainer(run, folder, prepared=None, *arguments):
    files.write_yaml(folder / "small.yaml", run.config.search_space.smallest().to_dict())
    model = ["--arch", "hat_transformer", "--hat-architecture", str(folder / "small.yaml"), *arguments]
    prepared = prepared or PreparedData(run.data)
    return make_trainer(run, prepared, run.config.sub_training, model, TrainingOptions(device="cpu"), folder)


def test_teachers_replace_their_share_of_the_target(run, tmp_path):
    """Loss and gradients of a training step are those of cross entropy with soft targets."""
    weight, epsilon = 0.3, run.config.sub_training.label_smoothing
    trainer = make_student_trainer(run, tmp_path)
    model, task = trainer.get_model(), trainer.task
    student, torch_teachers = model.transformer, [load_model(run.sub(FULL))]
    torch_teachers.append(Transformer(run.config.search_space.largest(), replace(student.spec, dropout=0.3)))
    names = set(model.state_dict())
    task.teachers = Teachers(trainer, torch_teachers, weight)
    sample = next(trainer.get_train_iterator(epoch=1).next_epoch_itr(shuffle=True))
    loss, _, logged = task.train_step(sample, model, trainer.get_criterion(), trainer.optimizer, 0)
    found = {name: parameter.grad.clone() for name, parameter in student.named_parameters()}

    inputs, target = sample["net_input"], sample["target"]
    source, previous = inputs["src_tokens"], inputs["prev_output_tokens"]
    kept = target.ne(student.spec.padding)
    logits, words = student(source, previous)[kept], student.spec.target_vocabulary
    one_hot = torch.nn.functional.one_hot(target[kept], words).float()
    smoothed = one_hot * (1 - epsilon) + (1 - one_hot) * epsilon / (words - 1)
    with torch.no_grad():
        taught = [teacher(source, previous)[kept].softmax(-1) for teacher in torch_teachers]
    soft = (1 - weight) * smoothed + weight * sum(taught) / 2
    expected = torch.nn.functional.cross_entropy(logits, soft, reduction="sum")
    torch.testing.assert_close(loss, expected)
    gradients = torch.autograd.grad(expected, list(student.parameters()))
    for (name, gradient), reference in zip(found.items(), gradients, strict=True):
        torch.testing.assert_close(gradient, reference, rtol=1e-3, atol=1e-4, msg=name)
    nll = torch.nn.functional.cross_entropy(logits, target[kept], reduction="sum")
    torch.testing.assert_close(logged["nll_loss"], nll.detach())
    assert set(model.state_dict()) == names
    for teacher in torch_teachers:
        assert not any(parameter.requires_grad for parameter in teacher.parameters())


def test_the_text_is_what_fairseqs_search_finds_with_the_teacher(run, tmp_path):
    prepared = PreparedData(run.data)
    data = distilled_data(run, FULL, beam=3)
    sources = [ids.tolist() for ids in load_split(prepared, "train").src]
    decode = SentencePieceProcessor(model_file=str(prepared.sentencepiece("en"))).decode
    found = translate_ids(load_model(run.sub(FULL)), prepared, sources, beam=3)
    expected = [" ".join(decode(ids).split()) for ids, _ in found]
    (part,) = data.directory.parent.glob("translations/*.txt")
    lines = part.read_text(encoding="utf-8").split("\n")[:-1]
    # fairseq's length limit is that of the longest of a batch: now and then it goes on where the bundle has to end.
    assert sum(line != other for line, other in zip(lines, expected, strict=True)) <= 3
    assert len(set(lines)) > 3

    references = load_split(prepared, "train").tgt
    encode = SentencePieceProcessor(model_file=str(prepared.sentencepiece("en"))).encode
    for mode, count in (("beside", 300), ("instead", 150)):
        arguments = {"beside": ("--upsample-primary", "1"), "instead": ("--train-subset", "train1")}[mode]
        trainer = make_student_trainer(run, tmp_path, data, *arguments)
        trainer.get_train_iterator(epoch=1)
        dataset = trainer.task.dataset(trainer.cfg.dataset.train_subset)
        assert len(dataset) == count
        for number in range(150):
            taught = dataset[count - 150 + number]
            assert taught["source"].tolist() == sources[number]
            wanted = [*encode(lines[number]), 2] if lines[number] else references[number].tolist()
            assert taught["target"].tolist() == wanted


def replace_translator(monkeypatch, translate):
    class Stub:
        def translate(self, sentences):
            return [translate(sentence) for sentence in sentences]

    monkeypatch.setattr(distilled_text._Translations, "_translator", lambda _self: Stub())


def test_nothing_and_too_much_give_way_to_the_reference(run, monkeypatch, capsys):
    answers = iter(["", "rot " * 300, "Hund\u2028Mann"] * 50)
    replace_translator(monkeypatch, lambda _sentence: next(answers))
    data = distilled_data(run, FULL, beam=3)
    encode = SentencePieceProcessor(model_file=str(PreparedData(run.data).sentencepiece("en"))).encode
    references = load_split(PreparedData(run.data), "train").tgt
    targets = load_split(data, "train1").tgt
    for number in range(0, 150, 3):
        assert targets[number].tolist() == references[number].tolist()
        assert targets[number + 1].tolist() == references[number + 1].tolist()
        assert targets[number + 2].tolist() == [*encode("Hund Mann"), 2]
    assert "150 translations, 100 of them empty or too long" in capsys.readouterr().out


@pytest.mark.slow
def test_survives_kills_in_translation_and_training(tmp_path, monkeypatch):
    monkeypatch.setattr(distilled_text, "usable_cores", lambda: 1)  # so many files, whatever machine this is
    monkeypatch.setattr(distilled_text, "SENTENCES_A_WORKER", 40)
    runs = []
    for name in ("straight", "killed"):
        (tmp_path / name).mkdir()
        runs.append(make_run(tmp_path / name, sub_training={"distillation": BOTH}))
        monkeypatch.chdir(tmp_path / name)
        full = runs[-1].config.search_space.full_transformer()
        assert run_and_die(lambda run=runs[-1], full=full: train_sub(run, FULL, full)) == 0
    straight, killed = runs
    small = straight.config.search_space.smallest()
    assert run_and_die(lambda: train_sub(straight, "small", small)) == 0

    assert run_and_die(lambda: export(killed, FULL, ["fp32"])) == 0
    parts = killed.path / "distilled"
    # Replaced at the first call: architecture, provenance, four translations, their digest; later what is missing.
    for replacements, left in ((4, 1), (3, 2), (4, 4)):
        assert run_and_die(lambda: train_sub(killed, "small", small), replacements) == -signal.SIGKILL
        assert len(list(parts.glob("*/translations/*.txt"))) == left
        assert not list(parts.glob("*/data"))
    for death in ({"replacements": 5}, {"backward_passes": 5}):
        assert run_and_die(lambda: train_sub(killed, "small", small), **death) == -signal.SIGKILL
        assert len(list(parts.glob("*/data"))) == 1
    assert run_and_die(lambda: train_sub(killed, "small", small)) == 0
    assert_same_result(straight.sub("small"), killed.sub("small"))
    assert not list(parts.glob("*/translations/.*"))


def test_a_cut_off_cache_is_noticed_and_mended(run, monkeypatch, capsys):
    monkeypatch.setattr(distilled_text, "SENTENCES_A_WORKER", 20)
    replace_translator(monkeypatch, lambda sentence: sentence)
    data = distilled_data(run, FULL, beam=3)
    targets = data.directory / "train1.de-en.en.bin"
    written = targets.read_bytes()
    part = sorted(data.directory.parent.glob("translations/*.txt"))[1]
    lines = part.read_bytes()

    targets.write_bytes(written[:50])
    distilled_data(run, FULL, beam=3)
    assert targets.read_bytes() == written
    assert "train1.de-en.en.bin is cut off or damaged" in capsys.readouterr().out

    asked = []
    replace_translator(monkeypatch, lambda sentence: asked.append(sentence) or sentence)
    shutil.rmtree(data.directory)
    part.write_bytes(lines[:-7])
    distilled_data(run, FULL, beam=3)
    assert (targets.read_bytes(), part.read_bytes()) == (written, lines)
    assert asked == lines.decode().split("\n")[:-1]
    assert f"{part.name} is cut off" in capsys.readouterr().out


def test_another_teacher_translates_anew_and_the_student_is_trained_again(run, monkeypatch, capsys):
    translated = []
    replace_translator(monkeypatch, lambda sentence: translated.append(sentence) or sentence)
    small = run.config.search_space.smallest()
    train_sub(run, "small", small)
    assert len(translated) == 150
    train_sub(run, "small", small)
    assert "SubTransformer small is up to date" in capsys.readouterr().out
    (before,) = (run.path / "distilled").iterdir()
    kept = {path: path.read_bytes() for path in before.rglob("*") if path.is_file()}

    teacher = load_model(run.sub(FULL))
    with torch.no_grad():
        next(teacher.parameters()).add_(0.1)
    save_model(run.sub(FULL), teacher)
    train_sub(run, "small", small)
    assert len(translated) == 300
    assert len(list((run.path / "distilled").iterdir())) == 2
    assert {path: path.read_bytes() for path in before.rglob("*") if path.is_file()} == kept
    assert "up to date" not in capsys.readouterr().out


def test_teachers_train_first_and_by_themselves(run):
    run = with_settings(run, word_level=0.5, teachers=[FULL, "super"])
    assert training_dependencies(run, "small") == [FULL]
    assert training_dependencies(run, FULL) == []
    assert distillation_inputs(run, FULL, spec=None, max_update=1) is None
    for off in ({}, {"teachers": [FULL]}, {"word_level": 0.0, "sequence_level": "none"}):
        assert distillation_of(with_settings(run, **off), "small") is None
    run = with_settings(run, word_level=0.5)
    shutil.rmtree(run.sub(FULL))
    train_sub(run, "small", run.config.search_space.smallest(), TrainingOptions(max_update=2))
    metrics = files.read_json_lines(run.sub(FULL) / "metrics.jsonl")
    assert metrics[-1]["update"] == run.config.sub_training.max_update  # the student's options are its own


def test_trainings_at_the_same_time_wait_for_their_teacher(run, monkeypatch):
    monkeypatch.setattr(parallel, "usable_cores", lambda: 2)
    run = with_settings(run, word_level=0.5)
    shutil.rmtree(run.sub(FULL))
    space = run.config.search_space
    jobs = [Job("small", space.smallest(), until=2), Job("large", space.largest(), until=2)]
    train_all(run, jobs, TrainingOptions(max_update=2), "students")
    metrics = files.read_json_lines(run.sub(FULL) / "metrics.jsonl")
    assert metrics[-1]["update"] == run.config.sub_training.max_update
    losses = [brief_loss(run, job.name, job.architecture, 2, TrainingOptions(max_update=2)) for job in jobs]
    assert None not in losses


def test_teachers_that_can_not_teach(run):
    small = run.config.search_space.smallest()

    def refused(match, **settings):
        with pytest.raises(ArtifactError, match=match):
            train_sub(with_settings(run, **settings), "small", small)
        assert not run.sub("small").exists()

    refused("'big' is not trained .*hat-train-sub big.*: full", word_level=0.5, teachers=["big"])
    refused("'big' is not trained", sequence_level="beside", sequence_teacher="big")
    refused("'super' is not trained .*hat-train-super", word_level=0.5, teachers=["super"])
    spec = replace(load_model(run.sub(FULL)).spec, source_vocabulary=50, target_vocabulary=50)
    save_model(run.sub("other"), Transformer(small, spec))
    mark_done(run.sub("other"), "test", [])
    refused("'other' knows 50 source and 50 target words, .* has 40 and 40", word_level=0.5, teachers=["other"])
    refused("'other' knows 50", sequence_level="beside", sequence_teacher="other")
    data = files.read_json(run.data / "done.json", "")
    files.write_json(run.data / "done.json", {**data, "output": "as many words, of another text"})
    refused("'full' learnt from other prepared data; train it again", word_level=0.5)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"word_level": 0.5, "teachers": ()}, "teachers: empty; name one, such as full, or set word_level to 0"),
        ({"teachers": ("full", "full")}, "teachers: full, full names one twice"),
        ({"sequence_teacher": "super"}, "sequence_teacher: super has no bundle"),
    ],
)
def test_settings_that_do_not_go_together(settings, message):
    with pytest.raises(UsageError, match=f"sub_training.distillation.{message}"):
        DistillationConfig(**settings)
