"""Which architectures to measure next, and when enough are measured.

Half of the architectures are drawn at random: errors and bounds that are estimated from them, and from no others, hold
for the whole space. The others are those of which the predictor is least sure, near the budgets first.
"""

import itertools
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from hat.architecture.space import SearchSpace
from hat.architecture.stacks import Architecture
from latency_predictor.fitting.conformal import LEAST_SCORES
from latency_predictor.fitting.predictor import LatencyPredictor
from latency_predictor.sampling.history import Fit
from latency_predictor.sampling.sample import LatencySample

ATTEMPTS = 50  # random architectures drawn for each one wanted, before a small space counts as used up
FIRST = 50  # architectures before the first fit: the fixed ones, and enough random ones to be sure of the bound
BATCH = 10  # architectures from one fit to the next
POOL = 40  # random architectures of which the least certain one is measured
NEAR = 0.25  # how far from a budget, as a share of it, a latency is still of interest
FAR_WEIGHT = 0.3  # of uncertainty far from every budget

GOOD_ERROR = 0.015  # mean absolute percentage error, cross-validated
GOOD_MARGIN = 0.04  # how far the upper bound is above the prediction
PLATEAU_FITS = 4  # measuring ends when these many fits in a row
PLATEAU_GAIN = 0.05  # took less than this share off the error
PLATEAU_LEAST = 80  # samples before that


def fixed_architectures(space: SearchSpace) -> list[Architecture]:
    """What every collection begins with: the extremes, and what budgets may be shares of."""
    return [space.smallest(), space.largest(), space.full_transformer()]


def planned_architectures(space: SearchSpace, seed: int, count: int) -> list[Architecture]:
    """`count` distinct architectures, or all that can be found in a small space.

    The fixed ones come first, then random ones, each from (seed, index). A smaller count gives the beginning of the
    same list.
    """
    random = (space.sample(np.random.default_rng((seed, index))) for index in range(ATTEMPTS * count))
    planned: dict[Architecture, None] = {}  # keeps the order
    for architecture in itertools.chain(fixed_architectures(space), random):
        if len(planned) == count:
            break
        planned.setdefault(architecture)
    return list(planned)


def mark_random(samples: Sequence[LatencySample], space: SearchSpace, seed: int) -> list[LatencySample]:
    """The LatencySamples, each with its `at_random`.

    An earlier version didn't keep that, but every file of it began with the planned architectures. As far as these are
    found, they were drawn at random, save the fixed ones; all others count as chosen.
    """
    planned, fixed = planned_architectures(space, seed, len(samples)), fixed_architectures(space)
    pairs = zip(planned, [sample.architecture for sample in samples], strict=False)
    followed = sum(1 for _ in itertools.takewhile(lambda pair: pair[0] == pair[1], pairs))
    derived = [index < followed and sample.architecture not in fixed for index, sample in enumerate(samples)]
    return [
        sample if sample.at_random is not None else replace(sample, at_random=random)
        for sample, random in zip(samples, derived, strict=True)
    ]


def fitted_count(measured: int, most: int) -> int:
    """To how many of so many measured architectures the predictor is fitted: whole batches, and all at the end."""
    return measured if measured <= FIRST or measured >= most else measured - (measured - FIRST) % BATCH


def next_architectures(
    space: SearchSpace,
    seed: int,
    measured: Sequence[Architecture],
    predictor: LatencyPredictor,
    budgets_ms: Sequence[float],
) -> dict[Architecture, bool]:
    """{architecture: whether it was drawn at random} of those to measure after the ones in `measured`, at most BATCH.

    Empty if a small space is used up. `predictor` is a LatencyPredictor fitted to the measured ones; `budgets_ms` are
    the latencies of interest.
    """
    rng = np.random.default_rng([seed, len(measured)])
    chosen: dict[Architecture, bool] = {}
    for number in range(BATCH):
        pool = [space.sample(rng) for _ in range(POOL)]
        pool = [architecture for architecture in pool if architecture not in measured and architecture not in chosen]
        if not pool:
            continue
        if number % 2:
            chosen[pool[0]] = True
        else:
            chosen[pool[int(np.argmax(_interest(predictor, pool, budgets_ms)))]] = False
    return chosen


def _interest(
    predictor: LatencyPredictor, architectures: Sequence[Architecture], budgets_ms: Sequence[float]
) -> np.ndarray:
    """How much is to be learnt (architectures,): relative uncertainty, weighted by closeness to a budget."""
    predicted = predictor.predict(architectures)
    weight = np.full(len(architectures), FAR_WEIGHT)
    for budget_ms in budgets_ms:
        weight = np.maximum(weight, np.exp(-0.5 * (np.log(predicted / budget_ms) / NEAR) ** 2))
    return predictor.uncertainty(architectures) * weight


def margin(predictor: LatencyPredictor, architectures: Sequence[Architecture], budgets_ms: Sequence[float]) -> float:
    """Median of how far the upper bound is above the prediction, as a share of it, near the budgets."""
    predicted = predictor.predict(architectures)
    margins = predictor.upper(architectures) / predicted - 1
    near = np.zeros(len(architectures), bool)
    for budget_ms in budgets_ms:
        near |= np.abs(predicted / budget_ms - 1) <= NEAR
    return float(np.median(margins[near] if near.any() else margins))


def stop_reason(history: Sequence[Fit], most_samples: int) -> str | None:
    """Why measuring can stop, as a sentence, or None; `history` are the fits so far, see sampling.history."""
    last = history[-1]
    error = (
        f"a cross-validated error of {last.mape:.1%} and a bound {last.margin:.1%} above the prediction, both of the "
        f"{last.at_random} drawn at random"
    )
    sure = last.at_random >= LEAST_SCORES
    if sure and last.mape <= GOOD_ERROR and last.margin <= GOOD_MARGIN:
        return f"{last.samples} samples give {error}"
    before = history[-1 - PLATEAU_FITS] if len(history) > PLATEAU_FITS else None
    if sure and before and last.samples >= PLATEAU_LEAST and last.mape > (1 - PLATEAU_GAIN) * before.mape:
        return f"more than {before.samples} samples no longer lower the error; {last.samples} give {error}"
    if last.samples >= most_samples:
        return f"latency.most_samples, {most_samples}, are measured; they give {error}"
    return None
