"""Translation, classification and language modelling. Nothing outside of a task's own rooms asks which task it is."""

from typing import TYPE_CHECKING, Any

from hat.tasks.classification import Classification
from hat.tasks.language_modeling import LanguageModeling
from hat.tasks.translation import Translation

if TYPE_CHECKING:
    from hat.tasks.task import Task


TASKS = {task.name: task for task in (Translation(), Classification(), LanguageModeling())}


def task_of(config: Any) -> "Task":
    """The Task of an experiment config."""
    return TASKS[config.task]
