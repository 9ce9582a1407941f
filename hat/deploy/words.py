"""Vocabulary: the words of a language model by number, which a file beside it lists one a line."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

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

    @classmethod
    def load(cls, path: Path) -> Vocabulary:
        """Read such a file; raises ArtifactError if it is missing or another one."""
        try:
            words = path.read_text(encoding="utf-8").split("\n")[:-1]
            return cls(words)
        except FileNotFoundError:
            raise ArtifactError(f"{path} is missing; prepare or export it again") from None
        except (KeyError, UnicodeDecodeError):
            raise ArtifactError(f"{path} is no vocabulary; prepare or export it again") from None
