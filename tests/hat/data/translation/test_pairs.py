"""Samples of a prepared split: drawn from all of it, by the seed alone, the same lines for every reader."""

import pytest
import torch
from tiny_run import make_run

from hat.data.drawing import draw_lines
from hat.data.tokenizer import Tokenizer
from hat.data.translation.pairs import sample_pairs, sample_text
from hat.data.translation.prepared import PreparedData
from hat.export.translation.check import Reference
from hat.export.translation.quality import measure_quality
from hat.fairseq_plugin.datasets import load_batches
from hat.models.translation import SuperTransformer
from search.scorer import load_scorer

SEED, COUNT = 1, 6


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return make_run(tmp_path_factory.mktemp("pairs"), search={"validation_sentences": COUNT})


@pytest.fixture(scope="module")
def prepared(run):
    return PreparedData(run.data)


def drawn(prepared, seed=SEED, count=COUNT):
    return draw_lines(prepared, "valid", count, seed).tolist()


def test_lines_come_from_the_whole_split(prepared):
    sentences = prepared.sentences["valid"]
    assert {line for seed in range(50) for line in drawn(prepared, seed)} == set(range(sentences))
    assert all(len(set(drawn(prepared, seed))) == COUNT for seed in range(50))
    assert sorted(drawn(prepared, count=1000)) == list(range(sentences))


def test_the_seed_alone_decides_and_fewer_are_the_first_of_more(prepared):
    assert drawn(prepared) == drawn(prepared, count=10)[:COUNT]
    assert drawn(prepared) != drawn(prepared, seed=SEED + 1)


def test_text_token_ids_and_batches_are_of_the_same_lines(prepared):
    sources, references = sample_text(prepared, "valid", COUNT, SEED)
    everything = list(zip(*prepared.raw("valid"), strict=True))
    assert list(zip(sources, references, strict=True)) == [everything[line] for line in drawn(prepared)]
    encode = Tokenizer(prepared.sentencepiece("de")).encode
    pairs = sample_pairs(prepared, "valid", COUNT, SEED)
    assert [source for source, _ in pairs] == [[*ids, 2] for ids in encode(sources)]
    batches = load_batches(prepared, "valid", 60, drawn(prepared))
    assert len(batches) > 1
    assert sorted(torch.cat([batch.ids for batch in batches]).tolist()) == sorted(drawn(prepared))


def test_candidates_are_scored_on_drawn_sentences(run, prepared, monkeypatch):
    scored = []
    monkeypatch.setattr("hat.models.checkpoint.load_model", lambda folder: None)
    monkeypatch.setattr(
        "hat.evaluation.inherited_loss.InheritedLoss", lambda model, parts, *device: scored.extend(parts)
    )
    monkeypatch.setattr("search.scorer.Scorer", lambda loss, threads: None)
    load_scorer(run)
    (batches,) = scored
    assert sorted(torch.cat([batch.ids for batch in batches]).tolist()) == sorted(drawn(prepared, run.config.seed))


def test_bundles_are_judged_on_drawn_sentences(run, prepared, monkeypatch):
    expected = sample_text(prepared, "valid", COUNT, SEED)[0]
    translated = []

    class FakeTranslator:
        def __init__(self, *_, **__):
            pass

        def translate(self, sources):
            translated.append(sources)
            return sources

    monkeypatch.setattr("hat.export.translation.quality.Translator", FakeTranslator)
    monkeypatch.setattr("hat.export.translation.quality.SENTENCES", COUNT)
    measure_quality("bundle", prepared, SEED)
    assert translated == [expected, expected]

    encode = Tokenizer(prepared.sentencepiece("de")).encode
    ids = []
    monkeypatch.setattr("hat.export.translation.check.SENTENCES", COUNT)
    monkeypatch.setattr(
        "hat.export.translation.check._translate_by_length",
        lambda model, prepared, sources, settings: ids.extend(sources) or [([5, 6], 0.0)] * len(sources),
    )
    space = run.config.search_space
    model = SuperTransformer(space, run.config.model_spec(prepared.source_vocabulary, prepared.target_vocabulary))
    Reference(model.eval(), prepared, run.config.evaluation, SEED)
    assert ids[: len(expected)] == [[*line, 2] for line in encode(expected)]  # then the graphs' own searches, of some
