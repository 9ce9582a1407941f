"""Whether networks that were compressed to a latency keep it when they are called afresh.

    python benchmarks/compressed_budgets.py --run runs/quickstart --network full --budgets 40% 60% --json budgets.json

For each budget, a share of NAME's latency, `hat-compress NAME --latency BUDGET` and `hat-export` are run; what is
finished is not repeated. Then all the fp32 bundles and NAME's are called with validation sentences one at a time, in
turns, as promised_latency.py does. The JSON holds for each budget `share`, the median call over that of NAME, `within`,
the share of calls within the budget, and `met`, whether that is at least the budget's quantile.
"""

import itertools

import numpy as np
from promised_latency import SEED, call_in_turns

from hat import files
from hat.cli import compress, export
from hat.cli.common import ArgumentParser, positive_int, run_command
from hat.experiment.run_directory import RunDirectory
from latency_predictor.budget import parse_budget

BUDGETS = ("45%", "50%", "55%", "60%", "65%", "70%", "75%", "80%", "85%", "90%")


def main(arguments=None):
    parser = ArgumentParser(__doc__.split("\n\n")[0])
    parser.add_argument("--run", required=True, metavar="DIR", help="run directory")
    parser.add_argument("--network", required=True, metavar="NAME", help="finished training of that run")
    parser.add_argument("--budgets", nargs="+", default=list(BUDGETS), metavar="B", help="50%%, 50%%@p90, ...")
    parser.add_argument("--calls", type=positive_int, default=300, help="of each bundle")
    parser.add_argument("--json", metavar="FILE", help="write the figures there")
    run_command(parser, _main, arguments)


def _main(options):
    run = RunDirectory.open(options.run)
    budgets = {_name(options.network, parse_budget(text)): parse_budget(text) for text in options.budgets}
    export.main([options.network, "--precision", "fp32", "--run", options.run])
    for name, budget in budgets.items():
        compress.main([options.network, "--latency", budget.text, "--run", options.run, "--threads", "1"])
        export.main([name, "--precision", "fp32", "--run", options.run])
    given = run.task.calls(run, "valid", options.calls, SEED)
    sentences = list(itertools.islice(itertools.cycle(given["sentences"]), options.calls))
    names = [options.network, *budgets]
    calls_ms, taken = call_in_turns({str(run.export(name) / "fp32") for name in names}, sentences)
    of = {name: np.array(calls_ms[str(run.export(name) / "fp32")]) for name in names}
    rows = [_row(name, budget, of[name], of[options.network]) for name, budget in budgets.items()]
    print("\n".join(_table(rows)))
    print(f"other work had the processor {taken:.1%} of the time; {sum(row['met'] for row in rows)} of {len(rows)} met")
    if options.json:
        files.write_json(options.json, {"taken": taken, "calls": options.calls, "budgets": rows})


def _name(network, budget):
    return f"{network}-cpu-{budget.slug()}"


def _row(name, budget, calls_ms, dense_ms):
    within = float(np.mean(calls_ms <= budget.resolve(float(np.quantile(dense_ms, budget.quantile)))))
    return {
        "name": name,
        "budget": budget.text,
        "share": float(np.median(calls_ms) / np.median(dense_ms)),
        "within": within,
        "met": within >= budget.quantile,
    }


def _table(rows):
    """Lines of text."""
    for row in rows:
        verdict = "met" if row["met"] else "MISSED"
        yield f"{row['budget']:>9}: {row['share']:6.1%} of the median, {row['within']:6.1%} of calls within: {verdict}"


if __name__ == "__main__":
    main()
