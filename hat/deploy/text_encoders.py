"""Texts, or pairs of them, to a classifier's token ids: with the package `tokenizers`, or with SentencePiece.

Nothing beside the tokenizer's file is needed. SentencePiece's <s>, </s> and <pad> are the first token, the separator
and the padding. A tokenizer.json knows the first two, and how many separators stand between the texts of a pair, by
what it makes of two empty texts; its padding is the token called [PAD] or <pad>.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from hat.deploy.text import load_sentencepiece, valid_text
from hat.errors import ArtifactError

if TYPE_CHECKING:
    import tokenizers

PADDING_NAMES = ("[PAD]", "<pad>")


def open_text_encoder(path: Path | str) -> TextEncoder:
    """The TextEncoder in a tokenizer.json of the package `tokenizers`, or else in a SentencePiece model.

    Raises ArtifactError if it can't be read, or names the package to install.
    """
    return (_TokenizersEncoder if str(path).endswith(".json") else _SentencePieceEncoder)(path)


class TextEncoder:
    """`vocabulary` is the number of tokens; `first`, `separator` and `padding` are ids of special ones.

    A pair has `pair_separators` (1 or 2) between its texts.
    """

    vocabulary: int
    first: int
    separator: int
    padding: int
    pair_separators = 1

    def encode(self, text: str, pair: str | None = None, max_tokens: int | None = None) -> list[int]:
        """[first, *text, separator], or [first, *text, separators, *pair, separator], cut to `max_tokens`.

        Of a pair that is too long the longer text is cut first, as `transformers` does.
        """
        return self.encode_all([text], None if pair is None else [pair], max_tokens)[0]

    def encode_all(
        self, texts: Sequence[str], pairs: Sequence[str] | None = None, max_tokens: int | None = None
    ) -> list[list[int]]:
        """`encode` for a list of texts, or for two of the same length, on all cores."""
        encoded = [self._tokens([valid_text(text) for text in side]) for side in (texts, pairs) if side is not None]
        return [self._sequence(*sides, max_tokens=max_tokens) for sides in zip(*encoded)]

    def _tokens(self, texts: Sequence[str]) -> list[list[int]]:
        """Lists of ids without special tokens."""
        raise NotImplementedError

    def _sequence(
        self, text: Sequence[int], pair: Sequence[int] | None = None, *, max_tokens: int | None = None
    ) -> list[int]:
        between = [self.separator] * (0 if pair is None else self.pair_separators)
        lengths = len(text), len(pair or ())
        if max_tokens is not None:
            lengths = _lengths_within(max_tokens - len(between) - 2, *lengths)
        return [self.first, *text[: lengths[0]], *between, *(pair or ())[: lengths[1]], self.separator]


def _lengths_within(room: int, first: int, second: int) -> tuple[int, int]:
    """How many tokens two texts of these lengths keep so that both fit: the longer one is cut, then both alike."""
    if first + second <= room:
        return first, second
    if first > second:
        return _lengths_within(room, second, first)[::-1]
    first = min(first, room // 2)
    return first, room - first


class _SentencePieceEncoder(TextEncoder):
    def __init__(self, path: Path | str) -> None:
        self._model = load_sentencepiece(path)
        self.vocabulary = len(self._model)
        self.first, self.separator, self.padding = self._model.bos_id(), self._model.eos_id(), self._model.pad_id()
        if min(self.first, self.separator, self.padding) < 0:
            raise ArtifactError(f"{path} lacks one of <s>, </s> and <pad>; train it with those, as hat-prepare does")

    def _tokens(self, texts: Sequence[str]) -> list[list[int]]:
        if len(texts) == 1:  # threads would take many times as long
            return [self._model.encode(texts[0])]
        return self._model.encode(texts, num_threads=-1)


class _TokenizersEncoder(TextEncoder):
    def __init__(self, path: Path | str) -> None:
        self._tokenizer = load_tokenizer(path)
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        self.vocabulary = self._tokenizer.get_vocab_size()
        empty_pair = self._tokenizer.encode("", "").ids
        if len(empty_pair) not in (3, 4):
            raise ArtifactError(f"{path} puts no special tokens around texts; BERT's and RoBERTa's tokenizers do")
        self.first, self.separator = empty_pair[:2]
        self.pair_separators = len(empty_pair) - 2
        paddings = [self._tokenizer.token_to_id(name) for name in PADDING_NAMES]
        padding = next((token for token in paddings if token is not None), None)
        if padding is None:
            raise ArtifactError(f"{path} has no token {' or '.join(PADDING_NAMES)}; a classifier needs one for padding")
        self.padding = padding

    def _tokens(self, texts: Sequence[str]) -> list[list[int]]:
        return [encoding.ids for encoding in self._tokenizer.encode_batch_fast(texts, add_special_tokens=False)]


def load_tokenizer(path: Path | str) -> tokenizers.Tokenizer:
    """The `tokenizers.Tokenizer` in a file; raises ArtifactError if it is none, or if the package is missing."""
    try:
        from tokenizers import Tokenizer
    except ImportError:
        raise ArtifactError(f"{path} needs the package tokenizers: pip install tokenizers") from None
    try:
        return Tokenizer.from_file(str(path))
    except Exception as error:  # the package raises no other class
        reason = " ".join(str(error).split())
        raise ArtifactError(f"{path} is not a tokenizer that the package tokenizers reads ({reason})") from None
