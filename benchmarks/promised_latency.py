"""Whether calls of a finished run's bundles take what its files promise, by the wall's clock as their user sees it.

    python benchmarks/promised_latency.py --run runs/quickstart --json promised.json

Every bundle of every search, and those of the full-size Transformer, is called with validation sentences one at a time,
by `hat.Translator` or the like, in this process, in blocks that take turns. The sentences are drawn by another seed
than the run's. A language model's times are those of a word: of a call, divided by the words that it writes.

For each bundle the JSON holds `promised_ms`, what its evaluation says of the quantile that its budget is about (other
quantiles than p50 and p90 are in none: there it is what the search measured of the chosen one), `seen_ms` here and
`ratio`, seen / promised; `paced`, that ratio over the full-size bundle's, which took turns with it then as here, so
that a faster or slower machine doesn't count (None where it isn't known). Where the bundle has the precision that was
searched for also `chosen_ms` of choice.json, `budget_ms`, `within`, the share of calls within the budget, and `met`,
whether that is at least the quantile. `taken` is the share of the time in which other work had the processor.
"""

import itertools
import os
import time

import numpy as np

from hat.cli.common import ArgumentParser, positive_int, run_command
from hat.experiment.run_directory import FULL, RunDirectory
from latency_predictor.sampling.bundle_meter import LATENCY_KEYS

BLOCK = 5  # sentences in a row with one bundle
SEED = 20_000  # of the sentences, whatever the run's seed is


def main(arguments=None):
    parser = ArgumentParser("Compare promised latencies of a run's bundles with calls of them.")
    parser.add_argument("--run", required=True, metavar="DIR", help="finished run directory")
    parser.add_argument("--calls", type=positive_int, default=300, help="of each bundle")
    parser.add_argument("--json", metavar="FILE", help="write the figures there")
    run_command(parser, _main, arguments)


def _main(options):
    from hat import files
    from hat.errors import ArtifactError

    run = RunDirectory.open(options.run)
    promises = list(_promises(run))
    if FULL not in (promise["name"] for promise in promises):
        raise ArtifactError(
            f"{run.export(FULL)} holds no bundle whose latency was measured; finish the run with hat-run"
        )
    given = run.task.calls(run, "valid", options.calls, SEED)
    sentences = list(itertools.islice(itertools.cycle(given["sentences"]), options.calls))
    whole_ms, taken = call_in_turns({promise["bundle"] for promise in promises}, sentences)
    shares = run.task.latency_shares(run.config)
    calls_ms = {bundle: [ms / shares for ms in milliseconds] for bundle, milliseconds in whole_ms.items()}
    quantiles = {promise["quantile"] for promise in promises}
    full_ms = {quantile: _quantile(calls_ms, run.export(FULL), quantile) for quantile in quantiles}
    rows = [_row(promise, calls_ms[promise["bundle"]], full_ms) for promise in promises]
    print("\n".join(_table(rows, taken)))
    if options.json:
        files.write_json(options.json, {"taken": taken, "calls": options.calls, "bundles": rows})


def _promises(run):
    """What is promised of each bundle: dictionaries, the full-size Transformer's first."""
    from hat import files
    from latency_predictor.budget import parse_budget

    choices = [files.read_json(path, "run hat-search") for path in sorted((run.path / "search").glob("*/choice.json"))]
    plain = {"name": FULL, "budget": None, "quantile": 0.5, "precision": None}
    for choice in [plain, *choices]:
        for bundle in sorted(path.parent for path in run.export(choice["name"]).glob("*/bundle.json")):
            evaluation = files.read_json(bundle.parent / f"evaluation.{bundle.name}.json", "run hat-evaluate on it")
            searched = bundle.name == choice["precision"]
            key = LATENCY_KEYS.get(choice["quantile"])
            promised_ms = evaluation[f"{key}_ms"] if key else choice["measured_ms"] if searched else None
            full_ms = evaluation.get(f"full_{key}_ms") if key else choice["full_ms"]
            if promised_ms is None:
                continue  # not measured
            yield {
                "bundle": str(bundle),
                "name": choice["name"],
                "precision": bundle.name,
                "quantile": choice["quantile"],
                "promised_ms": promised_ms,
                "full_promised_ms": full_ms,
                "chosen_ms": choice["measured_ms"] if searched else None,
                "budget": parse_budget(choice["budget"]) if searched else None,
            }


def call_in_turns(bundles, sentences, peers=None):
    """({bundle or peer: milliseconds of each call}, share of the time that other work had the processor).

    `peers` are {name: call(sentence, None)}, which take turns with the bundles.
    """
    from latency_predictor.on_device.bundle_calls import bundle_call

    os.sched_setaffinity(0, [max(os.sched_getaffinity(0))])
    calls = {bundle: bundle_call(bundle, threads=1, accelerator="cpu")[0] for bundle in sorted(bundles)}
    calls |= peers or {}
    calls_ms = {bundle: [] for bundle in calls}
    busy, start = time.process_time(), time.perf_counter()
    for at in range(0, len(sentences), BLOCK):
        for bundle, call in calls.items():
            call(sentences[at], None)  # after the others' weights were in the caches
            for sentence in sentences[at : at + BLOCK]:
                before = time.perf_counter()
                call(sentence, None)  # token ids are for devices without a tokenizer
                calls_ms[bundle].append(1e3 * (time.perf_counter() - before))
    taken = 1 - (time.process_time() - busy) / (time.perf_counter() - start)
    return calls_ms, taken


def _quantile(calls_ms, exported, quantile):
    """{precision: milliseconds} of the full-size Transformer's bundles."""
    return {
        bundle.rpartition("/")[2]: float(np.quantile(milliseconds, quantile))
        for bundle, milliseconds in calls_ms.items()
        if bundle.startswith(f"{exported}/")
    }


def _row(promise, calls_ms, full_ms):
    quantile, budget = promise["quantile"], promise["budget"]
    seen_ms, promised_ms = float(np.quantile(calls_ms, quantile)), promise["promised_ms"]
    full_seen_ms, full_promised_ms = full_ms[quantile].get(promise["precision"]), promise["full_promised_ms"]
    known = full_seen_ms is not None and full_promised_ms is not None
    paced = (seen_ms / full_seen_ms) / (promised_ms / full_promised_ms) if known else None
    row = promise | {"seen_ms": seen_ms, "ratio": seen_ms / promised_ms, "paced": paced, "budget": None}
    if budget is not None:
        budget_ms = budget.resolve(full_seen_ms)
        within = float(np.mean(np.array(calls_ms) <= budget_ms))
        row |= {"budget": budget.text, "budget_ms": budget_ms, "within": within, "met": within >= quantile}
    return row


def _table(rows, taken):
    """Lines of text."""
    width = max(len(row["name"]) for row in rows)
    yield f"{'':{width}}  precision  promised      seen   ratio   paced    budget  calls within"
    for row in rows:
        line = (
            f"{row['name']:{width}}  {row['precision']:9} {row['promised_ms']:6.2f} ms {row['seen_ms']:6.2f} ms "
            f"{row['ratio']:7.3f} {'-' if row['paced'] is None else format(row['paced'], '.3f'):>7}"
        )
        if row["budget"]:
            verdict = "met" if row["met"] else "MISSED"
            line += f" {row['budget_ms']:6.2f} ms {row['within']:7.1%} of {row['quantile']:.0%}: {verdict}"
        yield line
    yield f"other work had the processor {taken:.1%} of the time"


if __name__ == "__main__":
    main()
