"""The deployed search."""

from hat.deploy.step_search import StepSearch


class BeamSearch(StepSearch):
    """Translates token ids; one search at a time."""
