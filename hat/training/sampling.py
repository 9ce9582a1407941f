"""How the SubTransformer of each update is chosen. A strategy depends on (seed, update) alone: all ranks agree."""

import numpy as np


def uniform(space, seed, update):
    """Every elastic dimension uniform over its choices (HAT, section 3.2)."""
    return space.sample(np.random.default_rng((seed, update)))
