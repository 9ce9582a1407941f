"""The latency samples that HAT publishes: CSV files (or .csv.gz) of averaged features and milliseconds."""

import csv
import gzip
import math
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from hat.errors import DataError
from latency_predictor.fitting.features import AVERAGED

TARGETS = ("latency_mean_encoder", "latency_mean_decoder")


def read_hat_csv(path: Path | str) -> tuple[np.ndarray, np.ndarray]:
    """(features (rows, 10) in the order of `AVERAGED`, milliseconds (rows,) of encoder plus decoder).

    Raises DataError naming the missing column, or the line and column where a line is cut or no positive number stands.
    """
    path = Path(path)
    opened = gzip.open if path.suffix == ".gz" else open
    columns = (*AVERAGED, *TARGETS)
    try:
        with opened(path, "rt", encoding="utf-8", newline="") as handle:
            reader = csv.DictReader(handle)
            missing = [name for name in columns if name not in (reader.fieldnames or ())]
            if missing:
                raise DataError(f"{path}: column {', '.join(missing)} is missing; give a CSV file that HAT published")
            rows = [_row(row, columns, f"{path}, line {reader.line_num}") for row in reader]
    except FileNotFoundError:
        raise DataError(f"{path}: no such file; name a CSV file that HAT published") from None
    except (UnicodeDecodeError, csv.Error, gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise DataError(f"{path}: not a readable CSV file ({error}); fetch it again") from None
    if not rows:
        raise DataError(f"{path}: holds no samples; fetch it again")
    table = np.array(rows, dtype=np.float64)
    return table[:, : len(AVERAGED)], table[:, len(AVERAGED) :].sum(axis=1)


def _row(row: Mapping[Any, Any], columns: Iterable[str], where: str) -> list[float]:
    """The numbers of `columns` in a row of csv.DictReader, which has None for fields that are missing or too many."""
    absent = next((name for name, text in row.items() if text is None), None)
    if absent:
        raise DataError(f"{where}: cut before {absent}; mend or remove that line")
    if None in row:
        raise DataError(f"{where}: more fields than columns, after {list(row)[-2]}; mend or remove that line")
    return [_number(row[name], where, name) for name in columns]


def _number(text: str, where: str, column: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not (math.isfinite(value) and value > 0):
        raise DataError(f"{where}: {column} is {text!r}, not a positive number; mend or remove that line")
    return value
