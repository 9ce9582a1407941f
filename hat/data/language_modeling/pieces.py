"""A SentencePiece vocabulary whose pieces are numbered by falling frequency, as adaptive tables need them."""

from collections import Counter
from pathlib import Path
from typing import Any

from hat.data.tokenizer import train_tokenizer


def train_pieces(path: Path, vocabulary_size: int, lines: int) -> bytes:
    """Train a SentencePiece model on a clean text of so many `lines`; returns it, its pieces ranked by use there.

    Its </s>, which ends a line, is one of them, and so is <unk>. Raises UsageError if the text can't fill or fit the
    vocabulary.
    """
    from sentencepiece import SentencePieceProcessor, sentencepiece_model_pb2

    messages: Any = sentencepiece_model_pb2
    model = messages.ModelProto.FromString(train_tokenizer([path], vocabulary_size, lines))
    processor = SentencePieceProcessor(model_proto=model.SerializeToString())
    counts: Counter[int] = Counter()
    with open(path, encoding="utf-8", newline="\n") as text:
        for line in text:
            counts.update([*processor.encode(line), processor.eos_id()])
    ranked = [model.pieces[number] for number in sorted(range(len(model.pieces)), key=lambda piece: -counts[piece])]
    copied = [messages.ModelProto.SentencePiece.FromString(piece.SerializeToString()) for piece in ranked]
    del model.pieces[:]
    model.pieces.extend(copied)
    return model.SerializeToString()
