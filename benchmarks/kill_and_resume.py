"""Kills training, measuring and searching (SIGKILL) at random moments and compares with runs left alone.

    python benchmarks/kill_and_resume.py [--config FILE] [--kills 3] [--seed 1] [--json FILE]

Trains the smallest quickstart configuration unless FILE names another; a few minutes on two cores. What is measured
(latencies, and so the last choice among finalists of nearly equal loss) differs between any two runs; all else must be
equal.
"""

import argparse
import json
import random
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from hat.files import read_json_lines, sha256_of_file

ROOT = Path(__file__).resolve().parent.parent
SMALLEST = ROOT / "configs" / "quickstart.smallest.yaml"
CONFIG = "killed.yaml"  # the copy that is run
BUDGETS = ("--latency", "85%", "--latency", "70%")


def command(name, *arguments):
    return [str(Path(sys.executable).parent / name), *map(str, arguments)]


def run_alone(arguments):
    """Run to the end; returns the seconds it took."""
    start = time.monotonic()
    result = subprocess.run(arguments, capture_output=True, text=True, cwd=ROOT)
    if result.returncode:
        sys.exit(f"{' '.join(arguments)} ended with status {result.returncode}: {result.stderr[-2000:]}")
    return time.monotonic() - start


def run_killed(arguments, kills, seconds, rng):
    """Kill `kills` times at random moments of a run that takes `seconds`, then let it finish; returns the moments."""
    moments = []
    for _ in range(kills):
        moment = rng.uniform(0.1, 0.35) * seconds  # so that three kills come before the end
        process = subprocess.Popen(arguments, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=ROOT)
        time.sleep(moment)
        if process.poll() is None:
            process.kill()
            moments.append(round(moment, 1))
        process.wait()
    run_alone(arguments)
    return moments


def train(alone, killed, kills, rng):
    """Same weights to the last bit, same validation losses."""

    def arguments(run):
        return command("hat-train-super", run.parent / CONFIG, "--run", run, "--threads", 1)

    for run in (alone, killed):
        run_alone(command("hat-prepare", run.parent / CONFIG, "--run", run))
    moments = run_killed(arguments(killed), kills, run_alone(arguments(alone)), rng)
    weights = [sha256_of_file(run / "super" / "model.safetensors") for run in (alone, killed)]
    losses = [[row["valid"] for row in read_json_lines(run / "super" / "metrics.jsonl")] for run in (alone, killed)]
    return {"killed_after_s": moments, "same_weights": weights[0] == weights[1], "same_losses": losses[0] == losses[1]}


def measure(alone, killed, kills, rng):
    """The same architectures in the same order, each once."""

    def arguments(run):
        return command("hat-measure-latency", "--run", run, "--device", "cpu")

    moments = run_killed(arguments(killed), kills, run_alone(arguments(alone)), rng)
    samples = [
        [json.dumps(row["architecture"]) for row in read_json_lines(run / "latency" / "cpu.jsonl")]
        for run in (alone, killed)
    ]
    unique = len(set(samples[1])) == len(samples[1])
    return {"killed_after_s": moments, "same_architectures": samples[0] == samples[1], "no_duplicates": unique}


def search(alone, killed, kills, rng):
    """The same evaluations, history and front, byte for byte, from the same supernet and predictor."""

    def arguments(run):
        return command("hat-search", "--run", run, "--device", "cpu", *BUDGETS)

    shutil.rmtree(killed)
    run_alone(command("hat-fit-predictor", "--run", alone, "--device", "cpu"))
    shutil.copytree(alone, killed)
    seconds = run_alone(arguments(alone))
    # What is aimed at follows the latencies that were measured: give both runs the same ones.
    for path in [*(alone / "search").glob("reference.*.json"), *(alone / "search").glob("*/aim.json")]:
        copy = killed / path.relative_to(alone)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, copy)
    moments = run_killed(arguments(killed), kills, seconds, rng)
    kinds = ("history.json", "front.json", "architecture.yaml")
    names = ["evaluations.jsonl"] + [f"{search}/{kind}" for search in ("cpu-85pct", "cpu-70pct") for kind in kinds]
    same = {f"same {name}": same_file(alone / "search" / name, killed / "search" / name) for name in names}
    return {"killed_after_s": moments, **same}


def same_file(first, second):
    return first.read_bytes() == second.read_bytes()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--config", type=Path, default=SMALLEST)
    parser.add_argument("--kills", type=int, default=3)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    rng = random.Random(options.seed)
    with tempfile.TemporaryDirectory() as folder:
        shutil.copy(options.config, Path(folder) / CONFIG)  # so that an edit meanwhile doesn't change the experiment
        runs = Path(folder) / "alone", Path(folder) / "killed"
        results = {}
        for stage in (train, measure, search):
            results[stage.__name__] = stage(*runs, options.kills, rng)
            print(f"{stage.__name__}: {results[stage.__name__]}", flush=True)
    if options.json:
        options.json.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
