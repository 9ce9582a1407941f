"""Vocabulary: words numbered by falling frequency, as adaptive tables need them."""

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from hat import files
from hat.errors import ArtifactError

END_OF_LINE, UNKNOWN = "<eos>", "<unk>"


def ranked_words(counts: Counter[str], most: int | None) -> list[str]:
    """The `most` most frequent words (None: all), the most frequent first; equally frequent ones as they first came.

    `counts` are those of the training text, with END_OF_LINE once a line. END_OF_LINE and UNKNOWN are always among
    them; UNKNOWN is as frequent as all words together that it stands for.
    """
    words = [word for word, _ in counts.most_common() if word not in (END_OF_LINE, UNKNOWN)]
    kept = words if most is None else words[: most - 2]
    unknown = counts[UNKNOWN] + sum(counts[word] for word in words[len(kept) :])
    frequencies = {word: counts[word] for word in kept} | {END_OF_LINE: counts[END_OF_LINE], UNKNOWN: unknown}
    return sorted(frequencies, key=lambda word: -frequencies[word])


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

    def save(self, path: Path) -> None:
        """Write the words, one a line in the order of their numbers."""
        files.write_text(path, "".join(f"{word}\n" for word in self.words))

    @classmethod
    def load(cls, path: Path) -> "Vocabulary":
        """Read what `save` wrote; raises ArtifactError if it is missing or another file."""
        try:
            words = path.read_text(encoding="utf-8").split("\n")[:-1]
            return cls(words)
        except FileNotFoundError:
            raise ArtifactError(f"{path} is missing; run hat-prepare") from None
        except (KeyError, UnicodeDecodeError):
            raise ArtifactError(f"{path} is no vocabulary; remove the data and run hat-prepare") from None
