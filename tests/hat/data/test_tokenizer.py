"""SentencePiece models of texts larger than what they are trained on."""

import pytest
import sentencepiece
from preparing import write_lines

from hat.data import tokenizer

PATHS = ("train.de", "train.en")


def pieces(model):
    processor = sentencepiece.SentencePieceProcessor(model_proto=model)
    return [(processor.id_to_piece(index), processor.get_score(index)) for index in range(len(processor))]


@pytest.mark.parametrize(("most", "every"), [(100, 4), (399, 2), (400, 1)])
def test_a_large_text_is_sampled_evenly(text, monkeypatch, most, every):
    for side, lang in enumerate(("de", "en")):
        write_lines(f"sample.{lang}", [pair[side] for pair in text["train"][::every]])
    sample = tokenizer.train_tokenizer(["sample.de", "sample.en"], 90, len(text["train"][::every]))
    monkeypatch.setattr(tokenizer, "MAX_TRAINING_SENTENCES", most)
    assert pieces(tokenizer.train_tokenizer(PATHS, 90, 200)) == pieces(sample)
