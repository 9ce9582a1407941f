"""LanguageData: what `hat-prepare` left of running text, for the stages after it. Imports nothing heavy."""

from pathlib import Path

import numpy as np

from hat.data.preparation import REMEDY, existing_output, foreign_description, read_description
from hat.deploy.words import Vocabulary
from hat.errors import ArtifactError

NAMES = ("corpus", "vocabulary", "end_of_line", "unknown", "sentences", "counts")


class LanguageData:
    """The prepared data in `directory`: `vocabulary` (words), ids of the two special ones, `sentences` {split: lines}.

    `counts` has for each split its lines, words, and words that aren't in the vocabulary. Raises ArtifactError if the
    preparation isn't there or never finished.
    """

    task = "language_modeling"
    corpus: str
    vocabulary: int
    end_of_line: int
    unknown: int
    sentences: dict[str, int]
    counts: dict[str, dict[str, int]]

    def __init__(self, directory: Path | str) -> None:
        self.directory = Path(directory)
        description = read_description(self.directory)
        try:
            for name in NAMES:
                setattr(self, name, description[name])
            self.vocabulary_file = description.get("vocabulary_file", "vocabulary.txt")
        except (KeyError, TypeError):
            raise foreign_description(self.directory) from None

    @property
    def words_file(self) -> Path:
        """The file of the Vocabulary."""
        return self.directory / self.vocabulary_file

    def words(self) -> Vocabulary:
        """The Vocabulary; raises ArtifactError if it isn't that of the description."""
        found = Vocabulary.load(self.words_file)
        if len(found) != self.vocabulary:
            raise ArtifactError(f"{self.directory} has {len(found)} words instead of {self.vocabulary}; {REMEDY}")
        return found

    def stream(self, split: str) -> np.ndarray:
        """Numbers of all words of a split, each line's end among them: (words,), mapped into memory."""
        return np.load(existing_output(self.directory, f"{split}.npy"), mmap_mode="r")

    def lines(self, split: str) -> list[str]:
        """The lines of a split, a space between words."""
        path = existing_output(self.directory, f"raw/{split}.txt")
        lines = path.read_text(encoding="utf-8").split("\n")[:-1]
        if len(lines) != self.sentences[split]:
            raise ArtifactError(f"{path} has {len(lines)} lines instead of {self.sentences[split]}; {REMEDY}")
        return lines
