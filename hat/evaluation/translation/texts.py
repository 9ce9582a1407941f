"""Parallel files as an EvaluationText."""

import sys
from pathlib import Path

from hat import files
from hat.data.text import normalise_spaces, read_pairs
from hat.errors import DataError
from hat.evaluation.text import EvaluationText


def file_text(source_path: Path | str, reference_path: Path | str) -> EvaluationText:
    """The EvaluationText of two files (plain or gzip, one sentence a line), prepared as hat-prepare does a test split.

    Pairs with an empty side stay, with a warning. Raises DataError for a file that is missing, empty, damaged or not
    UTF-8, for misaligned files, and where no pair has text on both sides.
    """
    pairs = [tuple(map(normalise_spaces, pair)) for pair in read_pairs(source_path, reference_path)]
    empty = sum(not all(pair) for pair in pairs)
    if empty == len(pairs):
        raise DataError(f"{source_path} and {reference_path} have no line with text on both sides; check the files")
    if empty:
        where = f"{source_path} and {reference_path}"
        print(f"warning: {empty} of {len(pairs)} pairs of {where} have an empty side; they count too", file=sys.stderr)
    sources, references = map(list, zip(*pairs, strict=True))
    test_set = {
        "source": str(source_path),
        "source_sha256": files.sha256_of_file(source_path),
        "reference": str(reference_path),
        "reference_sha256": files.sha256_of_file(reference_path),
    }
    return EvaluationText(str(source_path), sources, references, {"split": None, "test_set": test_set})
