"""Knowledge distillation of a sub-training: who teaches it, and what it thereby depends on."""

import socket
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from hat import files
from hat.errors import ArtifactError, UsageError
from hat.experiment.run_directory import FULL, RunDirectory, learnt_from, stamp
from hat.experiment.sections import SUPER, DistillationConfig
from hat.models.checkpoint import load_model, load_spec
from hat.training.distilled_text import text_inputs

KEY = "sub_training.distillation"


def distillation_of(run: RunDirectory, name: str) -> DistillationConfig | None:
    """The DistillationConfig by which the sub-training `name` learns; None without one, and for a teacher itself."""
    settings = run.config.sub_training.distillation
    if settings is None or name in _teachers(settings):
        return None
    return settings if _teachers(settings) else None


def training_dependencies(run: RunDirectory, name: str) -> list[str]:
    """Names of the sub-trainings that must be finished before `name` is trained: its teachers among them."""
    settings = distillation_of(run, name)
    return [teacher for teacher in _teachers(settings) if teacher != SUPER] if settings else []


def can_teach(run: RunDirectory, teacher: str) -> bool:
    """Whether this teacher's weights are there, and finished."""
    directory = _directory(run, teacher)
    return all((directory / file).exists() for file in ("done.json", "model.json", "model.safetensors"))


def lacks_full(run: RunDirectory, names: Iterable[str]) -> bool:
    """Whether the full-size Transformer is the one teacher that these sub-trainings lack and that is not among them.

    It is then to be trained first; another teacher is the user's to train.
    """
    needed = {teacher for name in names for teacher in training_dependencies(run, name)}
    return {teacher for teacher in needed - set(names) if not can_teach(run, teacher)} == {FULL}


def distillation_inputs(run: RunDirectory, name: str, spec: Any, max_update: int) -> dict[str, Any] | None:
    """What the training of `name`, with this ModelSpec, depends on by its teachers; None without them.

    Raises ArtifactError, saying what there is to do, for a teacher that isn't trained or has another vocabulary.
    """
    settings = distillation_of(run, name)
    if settings is None:
        return None
    for teacher in _teachers(settings):
        _check(run, teacher, spec)
    inputs: dict[str, Any] = {}
    if settings.by_word:
        inputs |= {"word_level": settings.word_level, "teachers": teacher_digests(run, settings)}
    if settings.by_word and settings.labels:
        if settings.labels > spec.vocabulary:
            raise UsageError(f"{KEY}.top_k: {settings.labels} is above the vocabulary's {spec.vocabulary}; lower it")
        inputs |= {"shares": list(settings.shares), "labels": settings.labels, "until": max_update}
    if settings.sequence_level != "none":
        text = text_inputs(run, settings.sequence_teacher, settings.sequence_beam)
        inputs |= {"sequence_level": settings.sequence_level, "text": text}
    return inputs


def teacher_digests(run: RunDirectory, settings: DistillationConfig) -> list[str]:
    """Of the weights of those who teach word by word."""
    return [files.sha256_of_file(_directory(run, teacher) / "model.safetensors") for teacher in settings.teachers]


def check_is_here(run: RunDirectory, teachers: Iterable[str]) -> None:
    """Raise ArtifactError unless these teachers are on this machine."""
    for teacher in teachers:
        if not can_teach(run, teacher):
            raise ArtifactError(
                f"{_directory(run, teacher)} is not on {socket.gethostname()}; copy it there from rank 0's machine"
            )


def load_teachers(run: RunDirectory, settings: DistillationConfig) -> list[Any]:
    """The Transformers that teach word by word, in the order of `settings` (a DistillationConfig)."""
    return [load_model(_directory(run, teacher)) for teacher in settings.teachers]


def _teachers(settings: DistillationConfig) -> tuple[str, ...]:
    """Names of all teachers that have a part in it, each once."""
    by_word = settings.teachers if settings.by_word else ()
    by_sequence = (settings.sequence_teacher,) if settings.sequence_level != "none" else ()
    return tuple(dict.fromkeys((*by_word, *by_sequence)))


def _directory(run: RunDirectory, teacher: str) -> Path:
    return run.super_ if teacher == SUPER else run.sub(teacher)


def _check(run: RunDirectory, teacher: str, spec: Any) -> None:
    if not can_teach(run, teacher):
        commands = {SUPER: "hat-train-super", FULL: "hat-train-sub --architecture full"}
        remedy = commands.get(teacher, f"hat-train-sub {teacher}")
        finished = sorted(path.parent.name for path in (run.path / "sub").glob("*/done.json"))
        raise ArtifactError(
            f"{KEY}: the teacher {teacher!r} is not trained in {run.path}; run `{remedy}`, or name one that is: "
            f"{', '.join(finished) or 'none yet'}"
        )
    directory = _directory(run, teacher)
    found = load_spec(directory)
    known, wanted = (run.task.vocabularies(each) for each in (found, spec))
    if known != wanted:
        words = " and ".join(f"{size} {side}" for side, size in known.items())
        raise ArtifactError(
            f"{KEY}: the teacher {teacher!r} knows {words} words, the prepared data has "
            f"{' and '.join(map(str, wanted.values()))}; train it again on these data"
        )
    if not learnt_from(directory, stamp(run.data)):
        raise ArtifactError(f"{KEY}: the teacher {teacher!r} learnt from other prepared data; train it again on these")
