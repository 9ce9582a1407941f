"""Language models of pieces of words: numbered by frequency, their text what it was, perplexities those of words."""

import math

import numpy as np
import pytest
import torch
from sentencepiece import SentencePieceProcessor
from tiny_language_run import CONFIG, make_run

from hat import files
from hat.config import from_mapping
from hat.deploy.language_model import LanguageModel
from hat.errors import UsageError
from hat.evaluation.language_modeling.judge import word_losses
from hat.experiment.language_modeling import LanguageDataConfig
from hat.export.language_modeling.trial_bundle import write_trial_bundle
from hat.models import language_model

PIECES = {"tokenizer": "sentencepiece", "vocabulary_size": 34}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pieces")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        run = make_run(folder, data=PIECES)
        run.prepare()
        yield run


def test_pieces_are_numbered_by_frequency_and_make_up_the_text(run):
    prepared, vocabulary = run.prepared(), run.prepared().words()
    assert (prepared.vocabulary, prepared.words_file.name) == (34, "sentencepiece.model")
    counts = np.bincount(prepared.stream("train"), minlength=34)
    assert list(counts) == sorted(counts, reverse=True)
    assert counts[vocabulary.end_of_line] == 300
    assert vocabulary.text(prepared.stream("valid").tolist()).splitlines() == prepared.lines("valid")
    processor, line = SentencePieceProcessor(model_file=str(prepared.words_file)), prepared.lines("valid")[0]
    assert vocabulary.encode(line) == processor.encode(line)
    assert len(vocabulary.encode(line)) > len(line.split())
    assert prepared.counts["valid"]["unknown"] == 0
    assert vocabulary.unknown_in(["anna", "\u4e2d"]) == 1


def test_a_bundle_scores_words_as_pytorch_does_and_writes_text(run, tmp_path):
    torch.manual_seed(1)
    model = language_model.LanguageModel(run.config.search_space.smallest(), run.spec()).eval()
    write_trial_bundle(run, model, "fp32", tmp_path / "bundle")
    bundle, lines = LanguageModel(tmp_path / "bundle"), run.prepared().lines("valid")[:9]
    scores, judged = bundle.score(lines), run.task.judge(run).model_answers(model, lines)
    assert [score.words for score in scores] == [words for _, words in judged] == [8] * 9  # seven, and the end
    assert [-score.log_probability for score in scores] == pytest.approx([nats for nats, _ in judged], abs=1e-3)
    pieces = torch.from_numpy(run.prepared().stream("valid")[: sum(map(len, map(bundle.vocabulary.encode, lines))) + 9])
    total = float(word_losses(model.cpu(), pieces.long()).sum())
    found = run.task.judge(run).score(judged, [])
    assert found["perplexity"] == pytest.approx(math.exp(total / 72), rel=1e-4)
    assert "\u2581" not in bundle.generate("anna bought", words=30, seed=1)


def test_pieces_need_a_number(tmp_path):
    with pytest.raises(UsageError, match="data.vocabulary_size: sentencepiece needs the number of pieces"):
        from_mapping(LanguageDataConfig, CONFIG["data"] | {"tokenizer": "sentencepiece"}, "test")


def test_more_pieces_than_the_text_fills_are_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run = make_run(tmp_path, data=PIECES | {"vocabulary_size": 5000})
    with pytest.raises(UsageError, match="data.vocabulary_size 5000 is more than the training text can fill"):
        run.prepare()
    assert not files.read_json_lines(run.data / "done.json")
