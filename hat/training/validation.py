"""The SubTransformers by which a SuperTransformer is judged while it trains."""

import numpy as np

from hat.architecture.space import SearchSpace
from hat.architecture.stacks import Architecture


def named_subnets(space: SearchSpace, seed: int, count: int) -> dict[str, Architecture]:
    """Name -> Architecture: smallest, largest, and random1, random2... up to `count` in all, fixed by the seed."""
    subnets = {"smallest": space.smallest(), "largest": space.largest()}
    rng = np.random.default_rng((seed, 0, 1))
    for number in range(1, count - 1):
        subnets[f"random{number}"] = space.sample(rng)
    return subnets
