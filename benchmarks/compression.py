"""What pruning costs in quality: four methods with the same groups, updates and teacher, at several rates and seeds.

    python benchmarks/compression.py --run runs/sst2 --network cpu-50pct --updates 600 --json compression.json

NAME is a finished training of the run, a classifier or a translator. Everything else is as the run's section
`compression` says, or its default. Quality (accuracy, or BLEU) is the model's on the test split, read once at the end.
Trainings are kept in the folder --work, a run directory for each seed with the run's data, and reused.

The JSON holds `dense`, quality and loss of NAME itself, and `rows` of method, rate, seed, quality, valid_nats and
seconds; `means` {method: {rate: [mean quality, its change against dense]}}.
"""

import dataclasses
import itertools
import statistics
import time
from pathlib import Path

from hat import files
from hat.cli.common import ArgumentParser, positive_int, run_command
from hat.compression.dense import Dense
from hat.compression.stage import compress
from hat.config import to_mapping
from hat.evaluation.evaluate import evaluate
from hat.experiment.run_directory import RunDirectory
from hat.training.options import add_computing_options, chosen_options

METHODS = ("reweighted", "lasso", "gradual", "one_shot")
RATES = (1.5, 2.0, 3.0, 5.0)


def main(arguments=None):
    parser = ArgumentParser(__doc__.split("\n\n")[0])
    parser.add_argument("--run", required=True, metavar="DIR", help="run directory")
    parser.add_argument("--network", required=True, metavar="NAME", help="finished training of that run")
    parser.add_argument("--work", metavar="DIR", default="compression", help="where the trainings are kept")
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=list(METHODS))
    parser.add_argument("--rates", nargs="+", type=float, default=list(RATES), metavar="R")
    parser.add_argument("--seeds", type=positive_int, default=2, metavar="N", help="1 to N")
    parser.add_argument("--updates", type=positive_int, help="of each training (default: the config's)")
    add_computing_options(parser)
    parser.set_defaults(threads=1)  # several of these commands side by side take a core each
    parser.add_argument("--json", metavar="FILE", help="write the figures there")
    run_command(parser, _main, arguments)


def _main(options):
    run = RunDirectory.open(options.run)
    dense = _quality(run, options.network)
    print(f"{options.network}: {dense:.2f}", flush=True)
    rows, training = [], chosen_options(options)
    for seed, rate, method in itertools.product(range(1, options.seeds + 1), options.rates, options.methods):
        compressed = _compressed(options, run, training, seed, rate, method)
        rows.append({"method": method, "rate": rate, "seed": seed} | compressed)
        print(f"{method} {rate:g}x seed {seed}: {rows[-1]['quality']:.2f}", flush=True)
    means = {
        method: {f"{rate:g}": _mean(rows, method, rate, dense) for rate in options.rates} for method in options.methods
    }
    print("\n".join(_table(means, dense)))
    if options.json:
        files.write_json(options.json, {"dense": dense, "rows": rows, "means": means})


def _quality(run, name):
    """The score that counts, of a sub-training on the test split."""
    ((_, key), *_) = run.task.judge(run).columns
    return evaluate(run, name, None, latency=False, again=True)[key]


def _compressed(options, run, training, seed, rate, method):
    """{"quality", "valid_nats", "seconds"}"""
    settings = run.config.compressing
    updates = options.updates or settings.max_update
    changed = dataclasses.replace(
        settings,
        method=method,
        max_update=updates,
        warmup_updates=min(settings.warmup_updates, updates // 10),
        validate_every=updates,
    )
    config = run.config.to_dict() | {"seed": seed, "compression": to_mapping(changed)}
    work = _work_run(Path(options.work) / f"seed-{seed}", run, options.network, config)
    dense, name, began = Dense(work, options.network), f"{method}-{rate:g}x-{updates}", time.monotonic()
    compress(dense, dense.at_rate(rate), name, training)
    losses = files.read_json_lines(work.sub(name) / "metrics.jsonl")[-1]
    return {
        "quality": _quality(work, name),
        "valid_nats": losses["valid"]["mean"],
        "seconds": round(time.monotonic() - began, 1),
    }


def _work_run(folder, run, network, config):
    """A RunDirectory of `config`, a dictionary, in `folder`, with links to the run's data and network."""
    (folder / "sub").mkdir(parents=True, exist_ok=True)
    files.write_yaml(folder / "config.yaml", config)
    for link, target in ((folder / "data", run.data), (folder / "sub" / network, run.sub(network))):
        if not link.exists():
            link.symlink_to(target.resolve())
    return RunDirectory(folder)


def _mean(rows, method, rate, dense):
    quality = statistics.mean(row["quality"] for row in rows if (row["method"], row["rate"]) == (method, rate))
    return [quality, quality - dense]


def _table(means, dense):
    """Lines of text."""
    rates = list(next(iter(means.values())))
    yield f"{'':12}" + "".join(f"{rate + 'x':>16}" for rate in rates) + f"   (dense {dense:.2f})"
    for method, by_rate in means.items():
        yield f"{method:12}" + "".join(f"{quality:8.2f} ({change:+.2f})" for quality, change in by_rate.values())


if __name__ == "__main__":
    main()
