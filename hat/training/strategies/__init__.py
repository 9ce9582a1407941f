"""How a SuperTransformer is trained: what its SubTransformers learn in each update.

A strategy is a function (space, seed, update) -> list of Lesson. It depends on nothing else, so all ranks and a resumed
run agree.
"""

from hat.training.strategies import sandwich, uniform

STRATEGIES = {"uniform": uniform.lessons, "sandwich": sandwich.lessons}
