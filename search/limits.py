"""Limits of a search beside latency, as the user writes them: `5M` parameters, a bundle of `6MB`."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from hat.errors import UsageError

# Powers of 1000 in all, as sizes and counts are reported.
_COUNTS = {"": 1, "k": 10**3, "m": 10**6, "b": 10**9}
_BYTES = {"": 1, "b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9}
_PATTERN = re.compile(r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+)([a-z]*)")


@dataclass(frozen=True)
class Limits:
    """The most that a winner may have: parameters, with embeddings, and bytes of its bundle; None for any."""

    parameters: int | None = None
    size_bytes: int | None = None

    def texts(self) -> list[str]:
        """The limits that there are, to be shown: `5M parameters`, `6MB`."""
        parameters = [] if self.parameters is None else [f"{count_text(self.parameters)} parameters"]
        return parameters + ([] if self.size_bytes is None else [size_text(self.size_bytes)])

    def options(self) -> list[str]:
        """The limits that there are, as options of hat-search."""
        parameters = [] if self.parameters is None else [f"--max-parameters {count_text(self.parameters)}"]
        return parameters + ([] if self.size_bytes is None else [f"--max-size {size_text(self.size_bytes)}"])

    def slug(self) -> str:
        """What they add to a file name: `-5M-6MB`."""
        return "".join(f"-{text.removesuffix(' parameters')}" for text in self.texts())


NO_LIMITS = Limits()


def parse_limits(max_parameters: str | None = None, max_size: str | None = None) -> Limits:
    """The Limits of the options' texts; raises UsageError naming the option that is wrong and giving an example."""
    return Limits(
        None if max_parameters is None else _parse("--max-parameters", max_parameters, _COUNTS, "5M, 500k or 5000000"),
        None if max_size is None else parse_size(max_size, "--max-size"),
    )


def parse_size(text: str, option: str) -> int:
    """Bytes of an option's text; raises UsageError naming the option and giving an example."""
    return _parse(option, text, _BYTES, "6MB, 900kB or 6000000")


def _parse(option: str, text: str, units: Mapping[str, int], examples: str) -> int:
    match = _PATTERN.fullmatch("".join(text.split()).lower())
    if match is None or match[2] not in units:
        raise UsageError(f"{option} {text!r} is not a number that is understood; write for example {examples}")
    value = float(match[1]) * units[match[2]]
    if not 1 <= value < math.inf:
        raise UsageError(f"{option} {text!r} is not at least 1 and finite; write for example {examples}")
    return int(value)


def count_text(count: int) -> str:
    """A number of parameters as the user would write it: `5M`."""
    return _compact(count, (("M", 10**6), ("k", 10**3), ("", 1)))


def size_text(size_bytes: int) -> str:
    """A size as the user would write it: `6MB`."""
    return _compact(size_bytes, (("GB", 10**9), ("MB", 10**6), ("kB", 10**3), ("B", 1)))


def _compact(value: int, units: Sequence[tuple[str, int]]) -> str:
    unit, factor = next((unit for unit in units if value >= unit[1]), units[-1])
    return f"{value / factor:.12g}{unit}"
