"""Importing this registers our tasks, models, criteria and optimiser with fairseq."""

from hat.fairseq_plugin import criterion, optimizer, translation_model, translation_task  # noqa: F401
