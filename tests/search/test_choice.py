"""What a finished search tells of its finalists."""

from search_toys import SPACE, everything, latency, loss, timing

from search.candidate import Candidate
from search.choice import bound_line
from search.finalists import Finalist


def test_finalists_above_their_bound_are_counted_once_each():
    """Five, the bound 5 % above the prediction; where one was timed twice, the second time counts."""
    architectures = everything()[:5]
    factors = [1.04, 1.06, 1.0, 1.2, 0.9]

    def finalist(architecture, factor):
        candidate = Candidate(architecture, latency(architecture), loss(architecture))
        return Finalist(candidate, timing(factor * latency(architecture)), timing(latency(SPACE.largest())), 9.0, True)

    timed = [finalist(architectures[0], 1.3), finalist(architectures[3], 1.01)]
    timed += [finalist(architecture, factor) for architecture, factor in zip(architectures, factors, strict=True)]

    def bound(asked):
        return [1.05 * latency(architecture) for architecture in asked]

    line = bound_line(timed, bound)
    assert line.startswith(
        "2 of 5 finalists take longer than the predictor's upper bound; of random SubTransformers 5% "
    )
