"""The rows of front.json, dictionaries of one architecture each: which were measured, and what size means."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Size:
    """A size of a row: its key, a label, and the unit, which is worth `worth` of what the row counts."""

    key: str
    label: str
    unit: str
    worth: float

    def value(self, row: dict[str, Any]) -> float:
        """The size of a row in the unit."""
        return row[self.key] / self.worth

    def format(self, row: dict[str, Any]) -> str:
        """The size of a row with its unit."""
        return f"{self.value(row):.2f} {self.unit}"


SIZES = (
    Size("parameters", "parameters", "M", 1e6),
    Size("size_fp32_bytes", "fp32 bundle", "MB", 1e6),
    Size("size_int8_bytes", "int8 bundle", "MB", 1e6),
)


def sizes_of(row: dict[str, Any]) -> tuple[Size, ...]:
    """Those of the SIZES that a row tells."""
    return tuple(size for size in SIZES if size.key in row)


def measured(rows: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows that were measured, in their order."""
    return [row for row in rows if row["measured_ms"] is not None]
