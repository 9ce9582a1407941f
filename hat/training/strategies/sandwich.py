"""Strategy `sandwich`: largest, smallest and random SubTransformers in every update (Yu and Huang 2019).

In place of several passes over a batch, the batch is dealt out among them: an update costs about as much as that of one
network, its gradient is that of the whole space, and no network goes long without learning.
"""

import numpy as np

from hat.architecture.space import SearchSpace
from hat.training.strategies.lesson import Lesson

RANDOM = 2  # beside the largest and the smallest


def lessons(space: SearchSpace, seed: int, update: int) -> list[Lesson]:
    """Largest, smallest and RANDOM others, each with its share of the sentences."""
    rng = np.random.default_rng((seed, update))
    architectures = [space.largest(), space.smallest(), *(space.sample(rng) for _ in range(RANDOM))]
    return [Lesson(architecture, start, len(architectures)) for start, architecture in enumerate(architectures)]
