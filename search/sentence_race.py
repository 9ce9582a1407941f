"""A race over validation sentences (Maron and Moore 1994), the cheaper way to the same parents.

All candidates of a generation are scored on the first few sentences, those that may still become parents on more, and
what is left on all. How far a loss on the few may be from that on all is seen on the candidates that have both.
"""

import statistics
from collections.abc import Sequence

from hat.architecture.stacks import Architecture
from search.candidate import Scores
from search.evaluations import Evaluations

# Standard errors of the difference between a candidate's loss on few sentences and that on all, by which it has to be
# behind the parents to be given up.
MARGIN = 2.0


def raced_losses(
    asked: Sequence[Architecture], whole: Sequence[Architecture], evaluations: Evaluations, scores: Scores, parents: int
) -> list[float | None]:
    """Losses on all sentences of the architectures asked for, in order; None for those given up on the way.

    `whole` are the architectures of this search that were scored on all sentences before: what is asked for has to
    come up to the best `parents` of them. Until there are so many, all are scored on all sentences.
    """
    left = list(asked)
    if len(whole) >= max(parents, 2):
        goal = sorted(map(evaluations.loss, whole))[parents - 1]
        for parts in range(1, evaluations.parts):
            differences = [evaluations.loss(each) - evaluations.loss(each, parts) for each in whole]
            most = goal - statistics.mean(differences) + MARGIN * statistics.stdev(differences)
            losses = list(evaluations.known_or_scored(left, scores, parts))
            left = [architecture for architecture, loss in zip(left, losses, strict=True) if loss <= most]
    survivors = dict(zip(left, evaluations.known_or_scored(left, scores), strict=True))
    return [survivors.get(architecture) for architecture in asked]
