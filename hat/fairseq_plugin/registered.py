"""Importing this registers our task, models, criterion and optimiser with fairseq."""

from hat.fairseq_plugin import criterion, model, optimizer, task  # noqa: F401
