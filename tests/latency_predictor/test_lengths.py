"""Latency over the lengths of a corpus, against numpy and brute force."""

import numpy as np
import pytest
import tiny_run
from hypothesis import given
from hypothesis import strategies as st
from latency_runs import make_run

from hat.data.translation.prepared import PreparedData
from hat.errors import ArtifactError, UsageError
from hat.experiment.run_directory import mark_done
from hat.tasks.translation import Translation
from latency_predictor.budget import parse_budget
from latency_predictor.sampling.lengths import Lengths, check_quantiles, fixed_lengths, run_lengths

PHASES = ("encode", "decode")
POINTS = ((4, 5), (10, 12), (20, 18))


@given(
    st.lists(st.tuples(st.integers(1, 40), st.integers(1, 40)), min_size=1, max_size=30),
    st.sampled_from([0.1, 0.5, 0.9]),
)
def test_a_device_with_costs_in_straight_lines_is_known_at_every_length(pairs, quantile):
    """Exact where time is linear in the lengths, inside and outside of the measured points."""
    lengths = Lengths(dict(zip(PHASES, map(tuple, zip(*pairs, strict=True)), strict=True)), POINTS)
    encoder_ms = [2 + 0.5 * source for source, _ in POINTS]
    decoder_ms = [1 + 3.0 * steps for _, steps in POINTS]
    expected = np.quantile([3 + 0.5 * source + 3.0 * steps for source, steps in pairs], quantile)
    phases_ms = {"encode": [encoder_ms], "decode": [decoder_ms]}
    assert lengths.quantile_ms(phases_ms, quantile)[0] == pytest.approx(expected)


def test_between_the_points_it_is_what_numpy_interpolates():
    source, target = tuple(range(4, 21)), tuple(range(4, 21))
    lengths = Lengths({"encode": source, "decode": target}, ((4, 4), (10, 10), (20, 20)))
    encoder_ms, decoder_ms = [1.0, 3.0, 9.0], [10.0, 15.0, 40.0]
    total = [np.interp(n, (4, 10, 20), encoder_ms) + np.interp(n, (4, 10, 20), decoder_ms) for n in source]
    for quantile in (0.0, 0.25, 0.5, 1.0):
        found = lengths.quantile_ms({"encode": [encoder_ms], "decode": [decoder_ms]}, quantile)[0]
        assert found == pytest.approx(np.quantile(total, quantile))


@pytest.mark.parametrize("phases", [("encode",), PHASES, ("read", "think", "write")])
def test_several_architectures_at_once_of_any_number_of_phases(phases):
    rng = np.random.default_rng(1)
    points = tuple(zip(*((4 + 2 * number, 10, 20) for number in range(len(phases))), strict=True))
    lengths = Lengths({phase: tuple(rng.integers(2, 30, 5).tolist()) for phase in phases}, points)
    phases_ms = dict(zip(phases, rng.uniform(1, 9, (len(phases), 6, 3)), strict=True))
    together = lengths.quantile_ms(phases_ms, 0.9)
    for sample in range(6):
        alone = lengths.quantile_ms({phase: some[[sample]] for phase, some in phases_ms.items()}, 0.9)
        assert together[sample] == pytest.approx(alone[0])


def test_one_fixed_length_is_just_that():
    lengths = fixed_lengths({"encode": 30, "decode": 25})
    assert lengths.points == ((30, 25),)
    assert lengths.quantile_ms({"encode": [[2.0]], "decode": [[5.0]]}, 0.9)[0] == pytest.approx(7.0)


def test_a_phase_of_one_length_goes_with_all_lengths_of_the_others(monkeypatch, tmp_path):
    """As where prompts differ, but always so many words are asked for."""
    monkeypatch.chdir(tmp_path)
    run = make_run(tmp_path, source_length=None, target_steps=None)
    run.data.mkdir()
    mark_done(run.data, {}, [])
    monkeypatch.setattr(Translation, "prepared", lambda *_: None)
    monkeypatch.setattr(Translation, "corpus_lengths", lambda *_: [tuple(range(1, 12)), (7,) * 11])
    lengths = run_lengths(run)
    assert lengths.points == ((2, 7), (6, 7), (10, 7))
    one_ms = lengths.quantile_ms({"encode": [[2.0, 6.0, 10.0]], "decode": [[5.0, 8.0, 5.0]]}, 0.5)
    assert one_ms == pytest.approx([6.0 + 6.0])  # decoding takes as long everywhere, so that its points are averaged


def test_those_of_the_prepared_data(tmp_path):
    run = tiny_run.make_run(tmp_path)
    lengths = run_lengths(run)
    prepared = PreparedData(run.data)
    from sentencepiece import SentencePieceProcessor

    for side, lang, lines in zip(lengths.sentences.values(), ("de", "en"), prepared.raw("valid"), strict=True):
        processor = SentencePieceProcessor(model_file=str(prepared.sentencepiece(lang)))
        assert list(side) == [len(processor.encode(line)) + 1 for line in lines]
    assert len(lengths.points) == 3
    for quantile, (source, target) in zip((0.1, 0.5, 0.9), lengths.points, strict=True):
        assert np.mean(np.array(lengths.sentences["encode"]) <= source) == pytest.approx(quantile, abs=0.25)
        assert np.mean(np.array(lengths.sentences["decode"]) <= target) == pytest.approx(quantile, abs=0.25)


def test_those_of_the_config_come_before_the_data(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert run_lengths(make_run(tmp_path)) == fixed_lengths({"encode": 4, "decode": 3})


def test_the_corpus_is_needed_where_nothing_is_fixed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run = make_run(tmp_path, source_length=None, target_steps=None)
    with pytest.raises(ArtifactError, match=r"no prepared data.*run hat-prepare, or set latency\.source_length"):
        run_lengths(run)


def test_one_length_has_no_quantiles(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run = make_run(tmp_path)
    check_quantiles(run, [parse_budget("200ms")])
    with pytest.raises(UsageError, match=r"200ms@p90 needs the corpus's sentence lengths.*to null"):
        check_quantiles(run, [parse_budget("200ms@p90")])


def test_the_corpus_s_own_have_quantiles(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    check_quantiles(make_run(tmp_path, source_length=None, target_steps=None), [parse_budget("200ms@p90")])


def test_half_a_length_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match="give both, or null for both"):
        make_run(tmp_path, target_steps=None)
