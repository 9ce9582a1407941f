"""Importing this registers our tasks, models, criteria and optimiser with fairseq."""

from hat.fairseq_plugin import (  # noqa: F401
    classification_criterion,
    classification_model,
    classification_task,
    criterion,
    optimizer,
    translation_model,
    translation_task,
)
