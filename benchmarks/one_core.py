"""What benchmarks on one core share: their options, and contestants that take turns."""

import os
import time
from pathlib import Path

import numpy as np

from hat.cli.common import ArgumentParser, positive_int


def benchmark_parser(description, models, rounds, items):
    """A parser of --json, --models (of `models`), --rounds (`items` says what is done in one) and --core."""
    parser = ArgumentParser(description)
    parser.add_argument("--json", metavar="FILE", help="write all figures there")
    parser.add_argument("--models", nargs="+", choices=tuple(models), default=list(models), help="networks to compare")
    parser.add_argument("--rounds", type=positive_int, default=rounds, metavar="N", help=f"turns of {items}")
    parser.add_argument("--core", type=int, default=max(os.sched_getaffinity(0)), help="the core that all run on")
    return parser


def parsed(parser):
    """The options, once they are possible; everything runs on their core from here on."""
    options = parser.parse_args()
    if options.core not in os.sched_getaffinity(0):
        parser.error(f"core {options.core} is none of {sorted(os.sched_getaffinity(0))}")
    if options.json and not Path(options.json).resolve().parent.is_dir():
        parser.error(f"{options.json}: no such folder; name a file in one that is there")
    os.sched_setaffinity(0, {options.core})
    return options


def in_turns(contestants, items, rounds):
    """{contestant: milliseconds for each of `items`}, the medians of `rounds` turns after a warm-up."""
    times = {name: np.empty((rounds + 1, len(items))) for name in contestants}
    for turn in range(rounds + 1):
        for index, item in enumerate(items):
            for name, run in contestants.items():
                start = time.perf_counter()
                run(item)
                times[name][turn, index] = 1e3 * (time.perf_counter() - start)
    return {name: np.median(found[1:], axis=0) for name, found in times.items()}
