"""What a search can expect: how fast the space's SubTransformers are, and how many of them meet the limits."""

from collections.abc import Mapping

import numpy as np

from hat.architecture.space import SearchSpace
from hat.progress import format_ms
from search.budget_search import Prepared
from search.reference import Reference

SAMPLE = 1000  # random architectures


def outlook(space: SearchSpace, reference: Reference, prepared: Mapping[str, Prepared], seed: int) -> list[str]:
    """Lines of text, to be told before anything is scored.

    `reference` is the Reference of the device; `prepared` maps the name of each search to its Prepared.
    """
    rng = np.random.default_rng([seed, SAMPLE])
    sample = [space.sample(rng) for _ in range(SAMPLE)]
    predict = next(iter(prepared.values())).instruments.predict
    low, median, high = np.quantile(predict(sample), (0.1, 0.5, 0.9))
    lines = [
        f"the space holds {_count(space.size())} SubTransformers: the fastest found takes "
        f"{format_ms(reference.fastest_ms)}, the full-size Transformer {format_ms(reference.full_ms)} (measured), the "
        f"median of {SAMPLE} random ones {format_ms(median)}, eight of ten of them {format_ms(low)} to "
        f"{format_ms(high)} (predicted)"
    ]
    for name, search in prepared.items():
        share = float(np.mean(search.constraints.allow(sample)))
        lines.append(f"search {name}: can be met; of random SubTransformers {_percent(share)} meet all limits")
    return lines


def _count(size: int) -> str:
    return f"{size:,}" if size < 10**6 else f"{size:.1e}".replace("e+", "e")


def _percent(share: float) -> str:
    return f"{share:.1%}" if share else f"fewer than 1 in {SAMPLE}"
