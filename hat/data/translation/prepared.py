"""PreparedData: what `hat-prepare` left, for the stages after it. Imports nothing heavy."""

from pathlib import Path

from hat.data.preparation import REMEDY, foreign_description, read_description
from hat.errors import ArtifactError


class PreparedData:
    """The prepared data in `directory`: languages, vocabulary sizes, sentence counts, and where the files are.

    Raises ArtifactError if the preparation isn't there or never finished.
    """

    task = "translation"

    def __init__(self, directory: Path | str) -> None:
        self.directory = Path(directory)
        description = read_description(self.directory)
        try:
            self.corpus = description["corpus"]
            self.source_lang, self.target_lang = description["source_lang"], description["target_lang"]
            self.source_vocabulary = description["source_vocabulary"]
            self.target_vocabulary = description["target_vocabulary"]
            self.sentences = dict(description["sentences"])
        except (KeyError, TypeError):
            raise foreign_description(self.directory) from None

    def raw(self, split: str) -> tuple[list[str], list[str]]:
        """(sources, references) of a split: plain detokenised sentences."""
        return self._lines(split, self.source_lang), self._lines(split, self.target_lang)

    def raw_path(self, split: str, lang: str) -> Path:
        """Path of one side of a split as plain text, one sentence a line; raises ArtifactError if it is missing."""
        path = self.directory / "raw" / f"{split}.{lang}"
        if not path.exists():
            raise ArtifactError(f"{path} is missing; {REMEDY}")
        return path

    def _lines(self, split: str, lang: str) -> list[str]:
        path = self.raw_path(split, lang)
        lines = path.read_text(encoding="utf-8").split("\n")[:-1]
        if len(lines) != self.sentences[split]:
            raise ArtifactError(f"{path} has {len(lines)} lines instead of {self.sentences[split]}; {REMEDY}")
        return lines

    def sentencepiece(self, lang: str) -> Path:
        """Path of the SentencePiece model of one of the two languages."""
        return self.directory / f"sentencepiece.{lang}.model"
