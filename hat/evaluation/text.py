"""EvaluationText: what `hat-evaluate` judges models by."""

from dataclasses import dataclass
from typing import Any

from hat.data.source_files import SPLITS
from hat.errors import UsageError


@dataclass(frozen=True)
class EvaluationText:
    """Plain sentences and what should come of them; `origin` is what an evaluation says of where they come from."""

    name: str
    sources: list
    references: list
    origin: dict


def split_text(split: str, sources: list[Any], references: list[str]) -> EvaluationText:
    """The EvaluationText of a prepared split; UsageError if there is no such split."""
    return EvaluationText(split, sources, references, {"split": split, "test_set": None})


def check_split(split: str) -> None:
    """Raise UsageError if there is no such split."""
    if split not in SPLITS:
        raise UsageError(f"split {split!r} is not one of {', '.join(SPLITS)}")
