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
    """The SentencePiece model in a file, which may be compressed by xz.

    Raises ArtifactError if it is none, or if the package is missing.
    """
    try:
        import sentencepiece
    except ImportError:
        raise ArtifactError(f"{path} needs the package sentencepiece: pip install sentencepiece") from None
    try:
        return sentencepiece.SentencePieceProcessor(model_proto=_content(Path(path)))
    except (OSError, RuntimeError, EOFError, ValueError):
        raise ArtifactError(f"{path} is not a SentencePiece model; export the bundle again") from None


def _content(path: Path) -> bytes:
    """Of a file, decompressed if its name ends in .xz; raises ValueError if that can't be done."""
    content = path.read_bytes()
    if path.suffix != ".xz":
        return content
    try:
        import lzma
    except ImportError:  # of a Python that was built without it
        raise ArtifactError(
            f"{path} needs Python's module lzma; decompress it elsewhere, or use another Python"
        ) from None
    try:
        return lzma.decompress(content)
    except lzma.LZMAError as error:
        raise ValueError(str(error)) from None
