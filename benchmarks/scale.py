"""Preparation and the start of training at WMT's size, on generated text: time, memory and disk, and how they grow.

    python benchmarks/scale.py --work DIR [--pairs 250000 1000000] [--json FILE]

Sentences of made-up words, as long as WMT's and distributed by Zipf's law, are prepared by hat-prepare, and a small
network is trained for ten updates by hat-train-super, one process and thread. DIR is emptied of what was made there.
Memory is resident, pages of mapped files included, above what a run on 20,000 pairs takes.
"""

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import yaml

SMALL, WMT = 20_000, 36_000_000  # pairs
LANGUAGES = ("en", "de")
WORDS = 100_000  # a language
MEAN_WORDS, SPREAD = 21, 0.6  # of a sentence: median, and deviation of its logarithm; 25 words on average
CHUNK = 20_000
SPLITS = ("train", "valid", "test")
STACK = {"embed_dim": [64, 32], "layers": [1], "ffn_dim": [64], "self_attention_heads": [2]}
SCHEDULE = {"max_update": 10, "warmup_updates": 5, "lr": 0.001, "max_tokens": 4096}
CONFIG = {
    "data": {
        "corpus": "files",
        "source_lang": LANGUAGES[0],
        "target_lang": LANGUAGES[1],
        "vocabulary_size": 32_000,
        **{split: [f"{split}.{lang}" for lang in LANGUAGES] for split in SPLITS},
    },
    "model": {},
    "search_space": {
        "qkv_dim": 64,
        "encoder": STACK,
        "decoder": {**STACK, "cross_attention_heads": [2], "cross_attention_span": [1]},
    },
    "super_training": SCHEDULE,
    "sub_training": SCHEDULE,
}
# hat-train-super that says when its first batch was there, and its first update done.
TRAIN = """
import time
from fairseq.trainer import Trainer
step = Trainer.train_step
def told(*arguments, **options):
    print("BATCH", time.time(), flush=True)
    output = step(*arguments, **options)
    print("UPDATE", time.time(), flush=True)
    return output
Trainer.train_step = told
from hat.cli.train_super import main
main()
"""


def generate(folder, pairs, seed=1):
    """Write `pairs` training pairs, and 1,000 each to validate and to test, into `folder`."""
    rng = np.random.default_rng(seed)
    shares = np.cumsum(1 / (np.arange(WORDS) + 3.0))
    words = [_words(random.Random(f"{seed} {lang}")) for lang in LANGUAGES]
    for split, size in (("train", pairs), ("valid", 1000), ("test", 1000)):
        for start in range(0, size, CHUNK):
            lengths = np.exp(rng.normal(np.log(MEAN_WORDS), SPREAD, min(CHUNK, size - start)))
            for lang, vocabulary in zip(LANGUAGES, words, strict=True):
                own = np.clip(np.rint(lengths * rng.normal(1, 0.15, len(lengths))), 1, 200).astype(int)
                drawn = vocabulary[np.searchsorted(shares, rng.random(own.sum()) * shares[-1])]
                lines = (" ".join(line) for line in np.split(drawn, np.cumsum(own)[:-1]))
                with open(folder / f"{split}.{lang}", "a", encoding="utf-8") as file:
                    file.writelines(f"{line}.\n" for line in lines)


def _words(rng):
    """WORDS different made-up words, short ones first."""
    parts = [*"bcdfghjklmnprstvwz", "st", "sch", "pr", "tr"], "aeiou", ("", "n", "r", "s", "t")
    words = {}
    while len(words) < WORDS:
        syllables = 1 + min(3, int(rng.expovariate(1) * (0.3 + len(words) / WORDS)))
        words["".join(rng.choice(choices) for _ in range(syllables) for choices in parts)] = None
    return np.array(list(words), dtype=object)


def measured(arguments, folder):
    """Run a command in `folder`: wall and CPU seconds, peak memory in GB, and when it said what."""
    began, said = time.time(), {}
    process = subprocess.Popen(arguments, cwd=folder, stdout=subprocess.PIPE, text=True)
    for line in process.stdout:
        name, _, moment = line.partition(" ")
        if name in ("BATCH", "UPDATE"):
            said.setdefault(name, float(moment) - began)
            said["last"] = float(moment) - began
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        sys.exit(f"{' '.join(arguments)[:200]} ended with status {os.waitstatus_to_exitcode(status)}")
    cpu, peak = usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1e6
    return {"seconds": time.time() - began, "cpu_s": cpu, "peak_gb": peak, "said": said}


def measure(work, pairs):
    """One row of the table."""
    folder = work / f"scale.{pairs}"
    folder.mkdir(parents=True)
    try:
        generate(folder, pairs)
        (folder / "scale.yaml").write_text(yaml.safe_dump(CONFIG), encoding="utf-8")
        prepared = measured([sys.executable, "-m", "hat.cli.prepare", "scale.yaml", "--run", "run"], folder)
        disk = sum(path.stat().st_size for path in (folder / "run").rglob("*") if path.is_file())
        options = ["--run", "run", "--device", "cpu", "--threads", "1"]
        trained = measured([sys.executable, "-c", TRAIN, *options], folder)
        text = sum((folder / f"train.{lang}").stat().st_size for lang in LANGUAGES)
    finally:
        shutil.rmtree(folder)
    return {
        "pairs": pairs,
        "text_gb": text / 1e9,
        "prepare_s": prepared["seconds"],
        "prepare_cpu_s": prepared["cpu_s"],
        "prepare_gb": prepared["peak_gb"],
        "disk_gb": disk / 1e9,
        "first_batch_s": trained["said"]["BATCH"],
        "first_update_s": trained["said"]["UPDATE"],
        "ten_updates_s": trained["said"]["last"],
        "train_cpu_s": trained["cpu_s"],
        "train_gb": trained["peak_gb"],
    }


def extrapolated(rows):
    """What WMT pairs would take: the line through the two largest rows, drawn on."""
    before, last = rows[-2:]
    steps = (WMT - last["pairs"]) / (last["pairs"] - before["pairs"])
    return {name: last[name] + steps * (last[name] - before[name]) for name in last} | {"pairs": WMT}


def above(row, small):
    """The row with memory above what the small run takes, and rates."""
    memory = {name: row[name] - small[name] for name in ("prepare_gb", "train_gb")}
    rates = {"pairs_a_s": row["pairs"] / row["prepare_s"], "pairs_a_cpu_s": row["pairs"] / row["prepare_cpu_s"]}
    return row | memory | rates


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=Path, required=True, metavar="DIR", help="where text and runs lie meanwhile")
    parser.add_argument("--pairs", type=int, nargs="+", default=[250_000, 1_000_000], help="at least one number")
    parser.add_argument("--json", type=Path, metavar="FILE")
    options = parser.parse_args()
    work = options.work.resolve()
    rows = []
    for pairs in [SMALL, *sorted(options.pairs)]:
        rows.append(measure(work, pairs))
        print(f"{pairs} pairs, load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores", file=sys.stderr, flush=True)
    table = [above(row, rows[0]) for row in [*rows, extrapolated(rows)]]
    for name in table[0]:
        print(f"{name:16}" + "".join(f"{row[name]:>14,.{0 if row[name] > 999 else 2}f}" for row in table))
    if options.json:
        options.json.write_text(json.dumps(table, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
