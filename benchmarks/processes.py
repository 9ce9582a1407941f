"""Updates a second of a SuperTransformer's training in 1, 2 and 4 processes of this machine, and what they exchange.

    python benchmarks/processes.py --run DIR [--processes 1 2 4] [--updates 10] [--rounds 3] [--json FILE]

DIR is a run directory with prepared data, whose recipe is trained from the start in a folder of its own; nothing in DIR
changes. Every process has one thread, so as many cores must be idle. Beside them, in turns, as many processes train
without exchanging anything, each with its share of the tokens: what the machine allows. `of apart` is the one over the
other, `of linear` the one over as many times the first row. Medians of the rounds. Bytes are those of the tensors that
a process gives to all_reduce (gradients, and the sums that are logged) in an update; a ring sends and receives
2 (N - 1) / N times as many.
"""

import json
import multiprocessing
import os
import socket
import statistics
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import torch
from torch import distributed

from hat.cli.common import ArgumentParser, positive_int, run_command
from hat.data.translation.prepared import PreparedData
from hat.experiment.run_directory import RunDirectory
from hat.training import processes
from hat.training.batches import UpdateBatches
from hat.training.loop import TrainingLoop
from hat.training.options import TrainingOptions
from hat.training.setup import make_trainer

WARMUP = 3  # updates before the clock starts
OPTIONS = TrainingOptions(device="cpu", threads=1)


class CountedReduction:
    """torch's all_reduce, with the bytes of its tensors summed up."""

    def __init__(self):
        self.bytes, self._reduce = 0, distributed.all_reduce

    def __call__(self, tensor, *arguments, **options):
        self.bytes += tensor.numel() * tensor.element_size()
        return self._reduce(tensor, *arguments, **options)


def measure(path, folder, training, updates, barrier):
    """{updates_per_second, bytes_per_update} of this process, one of those that begin together at `barrier`."""
    run, reduction = RunDirectory(path), CountedReduction()
    directory = Path(tempfile.mkdtemp(dir=folder))
    training = replace(training, validate_every=10**9, save_every=10**9)
    with processes.joined("cpu"):
        arguments = ["--arch", "hat_supertransformer"]
        trainer = make_trainer(run, PreparedData(run.data), training, arguments, OPTIONS, directory)
        loop = TrainingLoop(trainer, training, directory, {"max_update": training.max_update}, "updates")
        loop.run(WARMUP)
        barrier.wait()
        distributed.all_reduce, start = reduction, time.monotonic()
        loop.run(WARMUP + updates)
        seconds = time.monotonic() - start
    return {"updates_per_second": updates / seconds, "bytes_per_update": reduction.bytes / updates}


def measure_in(environments, path, training, updates):
    """The means of what processes with these environments measured at the same time."""
    context = multiprocessing.get_context("spawn")
    results, barrier = context.Queue(), context.Barrier(len(environments))
    with tempfile.TemporaryDirectory() as folder:
        shared = (path, folder, training, updates, barrier)
        children = [context.Process(target=_child, args=(each, results, *shared)) for each in environments]
        for child in children:
            child.start()
        for child in children:
            child.join()
        if any(child.exitcode for child in children):
            raise SystemExit("a process failed, for the reason that it printed")
        rows = [results.get() for _ in children]
    return {name: statistics.mean(row[name] for row in rows) for name in rows[0]}


def _child(environment, results, path, folder, training, updates, barrier):
    os.environ.update({name: str(value) for name, value in environment.items()}, MASTER_ADDR="localhost")
    torch.set_num_threads(1)
    try:
        results.put(measure(path, folder, training, updates, barrier))
    except BaseException:
        barrier.abort()  # nobody waits for a process that has failed
        raise


def together(count, path, training, updates):
    """What `count` processes do that train one SuperTransformer."""
    with socket.socket() as found:
        found.bind(("localhost", 0))
        port = found.getsockname()[1]
    ranks = [{"WORLD_SIZE": count, "RANK": rank, "LOCAL_RANK": rank, "MASTER_PORT": port} for rank in range(count)]
    return measure_in(ranks, path, training, updates)


def apart(count, path, training, updates):
    """What as many do that train one each, with the tokens that one of `count` has."""
    batches = UpdateBatches.of(training, count)
    share = replace(training, max_tokens=batches.tokens, tokens_per_update=batches.count * batches.tokens)
    return measure_in([{"WORLD_SIZE": 1}] * count, path, share, updates)


def main(arguments=None):
    parser = ArgumentParser(__doc__.splitlines()[0])
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--processes", type=positive_int, nargs="+", default=[1, 2, 4])
    parser.add_argument("--updates", type=positive_int, default=10)
    parser.add_argument("--rounds", type=positive_int, default=3)
    parser.add_argument("--json", type=Path)
    run_command(parser, _main, arguments)


def _main(options):
    training = RunDirectory.open(options.run).config.super_training
    given = options.run, training, options.updates
    measured = {count: ([], []) for count in options.processes}
    for _ in range(options.rounds):
        for count, (joined, alone) in measured.items():
            joined.append(together(count, *given))
            alone.append(apart(count, *given))
    rows = [_row(count, *rounds) for count, rounds in measured.items()]
    linear = rows[0]["updates_per_second"] / rows[0]["processes"]
    print("\n".join(_table(rows, training, linear)))
    if options.json:
        options.json.write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")


def _row(count, joined, alone):
    rates = [statistics.median(each["updates_per_second"] for each in found) for found in (joined, alone)]
    return {
        "processes": count,
        "updates_per_second": rates[0],
        "apart_updates_per_second": rates[1],
        "bytes_per_update": joined[0]["bytes_per_update"],
    }


def _table(rows, training, linear):
    yield "| processes | batches an update | updates/s | apart | of apart | of linear | MB reduced an update |"
    yield "| --- | --- | --- | --- | --- | --- | --- |"
    for row in rows:
        count, rate, ceiling = row["processes"], row["updates_per_second"], row["apart_updates_per_second"]
        batches = UpdateBatches.of(training, count)
        shares = f"{rate / ceiling:.2f} | {rate / (count * linear):.2f}"
        size = f"{count} x {batches.count} x {batches.tokens:,}"
        yield f"| {count} | {size} | {rate:.3f} | {ceiling:.3f} | {shares} | {row['bytes_per_update'] / 1e6:.2f} |"


if __name__ == "__main__":
    main()
