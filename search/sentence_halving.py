"""Successive halving over validation sentences (Jamieson and Talwalkar 2016), the cheaper way to the same parents.

All candidates of a generation are scored on the first few sentences, the better ones on more, and only those that may
become parents on all. Losses are compared only where they are over the same sentences.
"""


def halved_losses(asked, whole, evaluations, scores, parents):
    """Losses on all sentences of the architectures asked for, in order; None for those given up on the way.

    `whole` are the architectures of this search that were scored on all sentences before. On the first `n` parts of
    the sentences a candidate has to be among the best `parents` * (1 + 1 / n) of those and of what is left of its
    generation.
    """
    left = list(asked)
    for parts in range(1, evaluations.parts):
        here = dict(zip(left, evaluations.known_or_scored(left, scores, parts), strict=True))
        here |= {architecture: evaluations.loss(architecture, parts) for architecture in whole}
        best = set(sorted(here, key=here.get)[: round(parents * (1 + 1 / parts))])
        left = [architecture for architecture in left if architecture in best]
    survivors = dict(zip(left, evaluations.known_or_scored(left, scores), strict=True))
    return [survivors.get(architecture) for architecture in asked]
