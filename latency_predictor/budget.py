"""A latency budget as the user writes it: `200ms`, `0.2s`, `900us`, or `50%` of the full-size Transformer.

It holds for the median sentence, with `@p90` for nine of ten: `200ms@p90`.
"""

import math
import re
from dataclasses import dataclass

from hat.errors import UsageError

_MILLISECONDS = {"s": 1000.0, "ms": 1.0, "us": 0.001}
_PATTERN = re.compile(r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+)(s|ms|us|%)(?:@p([0-9]{1,2}))?")
_EXAMPLES = "write for example 200ms, 0.2s, 50% or 200ms@p90"


@dataclass(frozen=True)
class LatencyBudget:
    """Either `milliseconds`, or a `fraction` of the full-size Transformer's measured latency; `text` as written.

    It is about the sentence that `quantile` of all sentences take no longer than.
    """

    text: str
    milliseconds: float | None = None
    fraction: float | None = None
    quantile: float = 0.5

    def resolve(self, full_ms: float) -> float:
        """The budget in milliseconds, `full_ms` being the full-size Transformer's latency."""
        return self.milliseconds if self.fraction is None else self.fraction * full_ms

    def slug(self) -> str:
        """The budget as part of a file name: `200ms`, `50pct`, `200ms-p90`."""
        return self.text.replace("%", "pct").replace("@", "-")


def parse_budget(text: str) -> LatencyBudget:
    """Read a budget; raises UsageError naming what is wrong and giving an example."""
    compact = "".join(str(text).split()).lower().replace("µ", "u").replace("μ", "u")
    match = _PATTERN.fullmatch(compact)
    if match is None:
        raise UsageError(f"latency budget {text!r} {_what_is_wrong(compact)}; {_EXAMPLES}")
    number, unit = float(match[1]), match[2]
    value = number / 100 if unit == "%" else number * _MILLISECONDS[unit]
    if value == 0 or math.isinf(value):
        raise UsageError(f"latency budget {text!r} is not above zero and finite; {_EXAMPLES}")
    quantile = 0.5 if match[3] is None else int(match[3]) / 100
    if quantile == 0:
        raise UsageError(f"latency budget {text!r}: @p0 is not one of @p1 to @p99; {_EXAMPLES}")
    if unit == "%":
        return LatencyBudget(compact, fraction=value, quantile=quantile)
    return LatencyBudget(compact, milliseconds=value, quantile=quantile)


def _what_is_wrong(compact: str) -> str:
    compact, at, share = compact.partition("@")
    if at and _PATTERN.fullmatch(compact):
        return f"has {at + share!r} where one of @p1 to @p99 can stand"
    try:
        number = float(compact)
    except ValueError:
        if compact.startswith("-"):
            return "is negative"
        return "is not a number with one of the units ms, s, us, %"
    return "has no unit" if number > 0 else "is not a positive number with a unit"
