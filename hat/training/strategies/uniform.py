"""Strategy `uniform`: one random SubTransformer an update (HAT, section 3.2)."""

import numpy as np

from hat.training.strategies.lesson import Lesson


def lessons(space, seed, update):
    """One lesson: every elastic dimension uniform over its choices."""
    return [Lesson(space.sample(np.random.default_rng((seed, update))))]
