"""Strategy `uniform`: one random SubTransformer an update (HAT, section 3.2)."""

import numpy as np

from hat.architecture.space import SearchSpace
from hat.training.strategies.lesson import Lesson


def lessons(space: SearchSpace, seed: int, update: int) -> list[Lesson]:
    """One lesson: every elastic dimension uniform over its choices."""
    return [Lesson(space.sample(np.random.default_rng((seed, update))))]
