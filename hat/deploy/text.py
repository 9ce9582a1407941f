"""What all tokenizers that run with a bundle share: texts that UTF-8 has, and SentencePiece models."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from hat.errors import ArtifactError

if TYPE_CHECKING:
    import sentencepiece


def valid_text(text: str) -> str:
    """`text` with U+FFFD for halves of surrogate pairs, which UTF-8 doesn't have."""
    if not isinstance(text, str):
        raise TypeError(f"a sentence must be a str, not {type(text).__name__}")
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def load_sentencepiece(path: Path | str) -> sentencepiece.SentencePieceProcessor:
    """The SentencePiece model in a file; raises ArtifactError if it is none, or if the package is missing."""
    try:
        import sentencepiece
    except ImportError:
        raise ArtifactError(f"{path} needs the package sentencepiece: pip install sentencepiece") from None
    try:
        return sentencepiece.SentencePieceProcessor(model_file=str(path))
    except (OSError, RuntimeError):
        raise ArtifactError(f"{path} is not a SentencePiece model; export the bundle again") from None
