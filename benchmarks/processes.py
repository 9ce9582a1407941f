"""Updates a second of a SuperTransformer's training in 1, 2 and 4 processes of this machine, and what they exchange.

    python benchmarks/processes.py --run DIR [--processes 1 2 4] [--updates 10] [--json FILE]

DIR is a run directory with prepared data, whose recipe is trained from the start in a folder of its own; nothing in DIR
changes. Every process has one thread, so as many cores must be idle. Bytes are those of the tensors that a process
gives to all_reduce (gradients, and the sums that are logged) in an update; a ring sends and receives 2 (N - 1) / N
times as many.
"""

import argparse
import json
import multiprocessing
import os
import socket
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import torch
from torch import distributed

from hat.cli.common import positive_int
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


def measure(path, folder, updates):
    """{updates_per_second, bytes_per_update} of this process, one of those that are joined."""
    run, reduction = RunDirectory(path), CountedReduction()
    training = replace(run.config.super_training, validate_every=10**9, save_every=10**9)
    with processes.joined("cpu"):
        arguments = ["--arch", "hat_supertransformer"]
        trainer = make_trainer(run, PreparedData(run.data), training, arguments, OPTIONS, folder)
        loop = TrainingLoop(trainer, training, Path(folder), {"max_update": training.max_update}, "updates")
        loop.run(WARMUP)
        processes.barrier()
        distributed.all_reduce, start = reduction, time.monotonic()
        loop.run(WARMUP + updates)
        processes.barrier()
        seconds = time.monotonic() - start
    return {"updates_per_second": updates / seconds, "bytes_per_update": reduction.bytes / updates}


def measure_in(count, path, updates):
    """What the first of `count` processes measured."""
    with socket.socket() as found:
        found.bind(("localhost", 0))
        port = found.getsockname()[1]
    context = multiprocessing.get_context("spawn")
    results = context.Queue()
    with tempfile.TemporaryDirectory() as folder:
        ranks = [{"WORLD_SIZE": count, "RANK": rank, "LOCAL_RANK": rank, "MASTER_PORT": port} for rank in range(count)]
        children = [context.Process(target=_child, args=(each, results, path, folder, updates)) for each in ranks]
        for child in children:
            child.start()
        for child in children:
            child.join()
        if any(child.exitcode for child in children):
            raise SystemExit("a process failed, for the reason that it printed")
        return results.get()


def _child(environment, results, path, folder, updates):
    os.environ.update({name: str(value) for name, value in environment.items()}, MASTER_ADDR="localhost")
    torch.set_num_threads(1)
    measured = measure(path, folder, updates)
    if processes.is_first():
        results.put(measured)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--processes", type=positive_int, nargs="+", default=[1, 2, 4])
    parser.add_argument("--updates", type=positive_int, default=10)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    training, rows = RunDirectory(options.run).config.super_training, []
    print("| processes | batches an update | updates/s | MB reduced an update |\n| --- | --- | --- | --- |")
    for count in options.processes:
        batches = UpdateBatches.of(training, count)
        row = {"processes": count, **measure_in(count, options.run, options.updates)}
        rows.append(row)
        size = f"{count} x {batches.count} x {batches.tokens:,}"
        figures = f"{row['updates_per_second']:.3f} | {row['bytes_per_update'] / 1e6:.3f}"
        print(f"| {count} | {size} | {figures} |", flush=True)
    if options.json:
        options.json.write_text(json.dumps(rows, indent=2) + "\n")


if __name__ == "__main__":
    main()
