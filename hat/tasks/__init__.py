"""The tasks: translation and classification. Nothing outside of a task's own rooms asks which one it is."""

from hat.tasks.classification import Classification
from hat.tasks.translation import Translation

TASKS = {task.name: task for task in (Translation(), Classification())}


def task_of(config):
    """The Task of an experiment config."""
    return TASKS[config.task]
