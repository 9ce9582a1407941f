"""Which architectures are measured, and when it is enough."""

from dataclasses import replace

import numpy as np
import pytest
from latency_runs import made_up_sample, make_run
from search_toys import SPACE, everything, latency

from hat.architecture.space import DecoderSpace, EncoderSpace, SearchSpace
from latency_predictor.fitting.conformal import LEAST_SCORES
from latency_predictor.sampling.history import Fit
from latency_predictor.sampling.selection import (
    BATCH,
    FIRST,
    GOOD_ERROR,
    GOOD_MARGIN,
    PLATEAU_FITS,
    PLATEAU_LEAST,
    fitted_count,
    fixed_architectures,
    margin,
    mark_random,
    next_architectures,
    planned_architectures,
    stop_reason,
)


class Oracle:
    """Knows the latency of everything; is unsure of what `unsure` says, and its bound is `wide` above."""

    def __init__(self, unsure=lambda architecture: 0.1, wide=0.05):
        self._unsure, self._wide = unsure, wide

    def predict(self, architectures):
        return np.array([latency(architecture) for architecture in architectures])

    def uncertainty(self, architectures):
        return np.array([self._unsure(architecture) for architecture in architectures])

    def upper(self, architectures):
        return self.predict(architectures) * (1 + self._wide)


def test_the_extremes_come_first_and_all_are_distinct():
    planned = planned_architectures(SPACE, seed=4, count=40)
    assert planned[:3] == [SPACE.smallest(), SPACE.largest(), SPACE.full_transformer()]
    assert len(set(planned)) == len(planned) == 40


def test_the_plan_depends_on_the_seed_and_grows_at_its_end():
    planned = planned_architectures(SPACE, seed=4, count=40)
    assert planned_architectures(SPACE, seed=4, count=25) == planned[:25]
    assert planned_architectures(SPACE, seed=5, count=40) != planned


def test_a_small_space_is_used_up():
    small = SearchSpace(
        qkv_dim=8,
        encoder=EncoderSpace(embed_dim=(8, 16), layers=(1,), ffn_dim=(16,), self_attention_heads=(2,)),
        decoder=DecoderSpace((8, 16), (1,), (16, 32), (2,), (2,), (1,)),
    )
    assert small.size() == 8
    planned = planned_architectures(small, seed=1, count=100)
    assert len(planned) == 8
    assert next_architectures(small, 1, planned, Oracle(), [5.0]) == {}


def test_what_comes_next_is_new_and_the_same_again():
    measured = planned_architectures(SPACE, seed=1, count=30)
    chosen = next_architectures(SPACE, 1, measured, Oracle(), [5.0])
    assert len(set(chosen)) == len(chosen) == BATCH
    assert not set(chosen) & set(measured)
    assert next_architectures(SPACE, 1, measured, Oracle(), [5.0]) == chosen


def test_an_earlier_version_drew_at_random_what_follows_the_plan(tmp_path):
    """Without the plan's beginning, as after another seed, nothing is known to be random."""
    run = make_run(tmp_path)
    planned = planned_architectures(SPACE, 1, 60)
    others = [planned[55], planned[50]]  # in the plan, but not in its place: they were chosen
    old = [made_up_sample(run, architecture, latency(architecture)) for architecture in [*planned[:40], *others]]
    assert [sample.at_random for sample in mark_random(old, SPACE, 1)] == [False] * 3 + [True] * 37 + [False] * 2
    assert not any(sample.at_random for sample in mark_random(old, SPACE, 2))
    new = [replace(sample, at_random=True) for sample in old]
    assert mark_random(new, SPACE, 2) == new


def test_fits_are_to_whole_batches():
    assert [fitted_count(count, 400) for count in (7, FIRST, FIRST + 3, FIRST + BATCH, FIRST + BATCH + 1)] == [
        *(7, FIRST, FIRST),
        *[FIRST + BATCH] * 2,
    ]
    assert fitted_count(FIRST + 5, FIRST + 5) == FIRST + 5


def test_half_of_them_are_those_of_which_the_predictor_is_least_sure():
    """Every second one is random; the others are wide decoders, of which this one knows nothing."""
    measured = planned_architectures(SPACE, seed=1, count=5)
    oracle = Oracle(lambda architecture: 1.0 if architecture.decoder.embed_dim == 32 else 0.001)
    chosen = next_architectures(SPACE, 1, measured, oracle, [])
    assert list(chosen.values()) == [False, True] * (BATCH // 2)
    assert all(architecture.decoder.embed_dim == 32 for architecture, random in chosen.items() if not random)
    batches = [next_architectures(SPACE, seed, measured, oracle, []) for seed in range(20)]
    randoms = [[architecture for architecture, random in batch.items() if random] for batch in batches]
    share = np.mean([architecture.decoder.embed_dim == 32 for batch in randoms for architecture in batch])
    assert 0.3 < share < 0.7


def test_near_a_budget_comes_first_where_all_are_equally_unsure():
    measured = planned_architectures(SPACE, seed=1, count=5)
    latencies = [latency(architecture) for architecture in everything()]
    budget_ms = float(np.quantile(latencies, 0.9))
    chosen = next_architectures(SPACE, 1, measured, Oracle(), [budget_ms])
    assert all(abs(latency(each) / budget_ms - 1) < 0.1 for each, random in chosen.items() if not random)


def test_the_margin_is_that_near_the_budgets():
    architectures = everything()
    budget_ms = 6.0

    class Wider(Oracle):
        def upper(self, architectures):
            predicted = self.predict(architectures)
            return predicted * np.where(predicted < 0.75 * budget_ms, 2.0, 1.03)

    assert margin(Wider(), architectures, [budget_ms]) == pytest.approx(0.03)
    assert margin(Oracle(wide=0.07), architectures, []) == pytest.approx(0.07)


def fits(*errors, first=50, margin=0.2, at_random=LEAST_SCORES):
    return [Fit(first + 10 * index, "ridge", error, margin, at_random) for index, error in enumerate(errors)]


def test_it_stops_when_error_and_margin_are_good():
    good = fits(GOOD_ERROR, margin=GOOD_MARGIN)
    assert "50 samples give a cross-validated error of 1.5%" in stop_reason(good, 400)
    assert f"both of the {LEAST_SCORES} drawn at random" in stop_reason(good, 400)
    assert stop_reason(fits(GOOD_ERROR, margin=2 * GOOD_MARGIN), 400) is None
    assert stop_reason(fits(2 * GOOD_ERROR, margin=GOOD_MARGIN), 400) is None


def test_it_does_not_stop_before_random_ones_are_enough_to_judge_by():
    assert stop_reason(fits(GOOD_ERROR, margin=GOOD_MARGIN, at_random=LEAST_SCORES - 1), 400) is None
    flat = [0.05] * (PLATEAU_FITS + 1)
    assert stop_reason(fits(*flat, first=PLATEAU_LEAST, at_random=LEAST_SCORES - 1), 400) is None
    assert "latency.most_samples, 60, are measured" in stop_reason(fits(0.3, 0.2, at_random=5), 60)
    assert FIRST - len(fixed_architectures(SPACE)) >= LEAST_SCORES  # the first fit can be the last


def test_it_stops_when_more_samples_do_not_help():
    flat = fits(*[0.05] * (PLATEAU_FITS + 1), first=PLATEAU_LEAST)
    assert f"more than {PLATEAU_LEAST} samples no longer lower the error" in stop_reason(flat, 400)
    assert stop_reason(flat[1:], 400) is None
    assert stop_reason(fits(*[0.05] * (PLATEAU_FITS + 1), first=PLATEAU_LEAST - 50), 400) is None
    falling = fits(*(0.1 * 0.95**index for index in range(PLATEAU_FITS + 1)), first=PLATEAU_LEAST)
    assert stop_reason(falling, 400) is None


def test_it_stops_at_the_most():
    assert "latency.most_samples, 70, are measured" in stop_reason(fits(0.3, 0.2, 0.1), 70)
