"""Importing this registers our tasks, models, criteria and optimiser with fairseq."""

from hat.fairseq_plugin import (  # noqa: F401
    classification_criterion,
    classification_model,
    classification_task,
    criterion,
    language_model_model,
    language_model_task,
    optimizer,
    translation_model,
    translation_task,
)
