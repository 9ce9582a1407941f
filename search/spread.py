"""An even spread over a range of latencies."""

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np


def spread_evenly(items: Iterable[Any], latency_ms: Callable[[Any], float], count: int) -> list[Any]:
    """At most `count` of the items, fastest first, as evenly spread in the logarithm of their latency as can be.

    The fastest and the slowest are among them, if `count` is 2 or more. `latency_ms(item)` is above 0.
    """
    ordered = sorted(items, key=latency_ms)
    if len(ordered) <= count:
        return ordered
    logs = np.log([latency_ms(item) for item in ordered])
    free, chosen = np.ones(len(ordered), dtype=bool), [0, len(ordered) - 1][:count]
    free[chosen] = False
    for target in np.linspace(logs[0], logs[-1], count)[1:-1]:
        distances = np.where(free, np.abs(logs - target), np.inf)
        chosen.append(int(np.argmin(distances)))
        free[chosen[-1]] = False
    return [ordered[index] for index in sorted(chosen)]
