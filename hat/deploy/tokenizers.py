"""Sentences to token ids and back, with a bundle's SentencePiece models."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

from hat.deploy.bundle import Bundle
from hat.deploy.text import load_sentencepiece, valid_text

WORD_START = "\u2581"  # SentencePiece's mark at the start of a word


class Tokenizers:
    """The source and target tokenizers of a Bundle; raises ArtifactError if they can't be read."""

    def __init__(self, bundle: Bundle) -> None:
        self._source, self._target = (load_sentencepiece(bundle.tokenizer(side)) for side in ("source", "target"))
        self._end = bundle.description["spec"]["end_of_sentence"]
        self._limit = bundle.description["max_source_tokens"] - 1

    def parts(self, sentence: str) -> list[list[int]]:
        """Lists of ids that end with </s>: none for a blank sentence, several for one that is too long.

        A long one is cut before words where possible; a warning says so.
        """
        ids = self._source.encode(valid_text(sentence))
        if len(ids) > self._limit:
            limits = f"has {len(ids)} tokens: translated in parts of {self._limit} at most"
            warnings.warn(f"the sentence {sentence[:40]!r}... {limits}", stacklevel=2)
        parts = []
        while len(ids) > self._limit:
            starts = (at for at in range(self._limit, 0, -1) if self._starts_word(ids[at]))
            cut = next(starts, self._limit)
            parts.append([*ids[:cut], self._end])
            ids = ids[cut:]
        if ids:
            parts.append([*ids, self._end])
        return parts

    def _starts_word(self, token: int) -> bool:
        return self._source.id_to_piece(token).startswith(WORD_START)

    def prefix(self, text: str) -> list[int]:
        """Ids of the beginning of a translation, without </s>."""
        return self._target.encode(valid_text(text))

    def text(self, tokens: Sequence[int]) -> str:
        """The text of ids that end with </s>, always one line."""
        return self._target.decode(tokens[:-1]).replace("\r", " ").replace("\n", " ")
