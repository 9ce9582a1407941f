"""Vocabulary: the words of a language model by number, as a file beside it has them.

That lists words, one a line, or is a SentencePiece model (.model, or .model.xz) whose pieces are the words.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from hat.deploy.text import load_sentencepiece, valid_text
from hat.errors import ArtifactError

END_OF_LINE, UNKNOWN = "<eos>", "<unk>"


class Vocabulary:
    """Words by number and numbers by word."""

    def __init__(self, words: Sequence[str]) -> None:
        self.words = list(words)
        self._numbers = {word: number for number, word in enumerate(self.words)}
        self.end_of_line, self.unknown = self._numbers[END_OF_LINE], self._numbers[UNKNOWN]

    def __len__(self) -> int:
        return len(self.words)

    def encode(self, line: str) -> list[int]:
        """Ids of the words of a line, which spaces part; END_OF_LINE is not added."""
        return [self._numbers.get(word, self.unknown) for word in line.split()]

    def unknown_in(self, words: Iterable[str]) -> int:
        """How many words are none of the vocabulary; the text's own UNKNOWN is one."""
        return sum(word not in self._numbers for word in words)

    def text(self, numbers: Sequence[int]) -> str:
        """The text of words by number, an end of a line being a line feed."""
        named = ["\n" if number == self.end_of_line else self.words[number] for number in numbers]
        return " ".join(named).replace(" \n", "\n").replace("\n ", "\n")

    @classmethod
    def load(cls, path: Path) -> Vocabulary:
        """Read such a file; raises ArtifactError if it is missing or another one."""
        if ".model" in path.suffixes:
            return PieceVocabulary(path)
        try:
            words = path.read_text(encoding="utf-8").split("\n")[:-1]
            return cls(words)
        except FileNotFoundError:
            raise ArtifactError(f"{path} is missing; prepare or export it again") from None
        except (KeyError, UnicodeDecodeError):
            raise ArtifactError(f"{path} is no vocabulary; prepare or export it again") from None


class PieceVocabulary(Vocabulary):
    """The pieces of words that the SentencePiece model in a file knows; its </s> ends a line."""

    def __init__(self, path: Path) -> None:
        self._pieces = load_sentencepiece(path)
        self.words = [self._pieces.id_to_piece(number) for number in range(len(self._pieces))]
        self.end_of_line, self.unknown = self._pieces.eos_id(), self._pieces.unk_id()

    def encode(self, line: str) -> list[int]:
        """Ids of the pieces of a line; its end is not added."""
        return self._pieces.encode(valid_text(line))

    def unknown_in(self, words: Iterable[str]) -> int:
        """How many words have a character that no piece has."""
        return sum(self.unknown in pieces for pieces in self._pieces.encode(list(map(valid_text, words))))

    def text(self, numbers: Sequence[int]) -> str:
        """The text of pieces by number, an end of a line being a line feed."""
        lines: list[list[int]] = [[]]
        for number in numbers:
            if number == self.end_of_line:
                lines.append([])
            else:
                lines[-1].append(number)
        return "\n".join(map(self._pieces.decode, lines))
