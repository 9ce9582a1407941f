"""A tiny classification run: whether a text speaks well or badly of what it names first."""

import csv
import random

import yaml

from hat.experiment.run_directory import RunDirectory

GOOD, BAD = ["good", "fine", "lovely"], ["bad", "awful", "dull"]
THINGS = ["film", "book", "song", "play"]

TRAINING = {
    "warmup_updates": 10,
    "lr": 0.005,
    "lr_scheduler": "cosine",
    "max_tokens": 800,
    "tokens_per_update": 800,
    "validate_every": 40,
    "save_every": 10,
}
CONFIG = {
    "task": "classification",
    "name": "tiny",
    "data": {
        "corpus": "files",
        "train": ["train.tsv"],
        "valid": ["valid.tsv"],
        "test": ["valid.tsv"],
        "vocabulary_size": 34,
        "max_length": 60,
    },
    "model": {"normalize_before": True, "dropout": 0.0},
    "search_space": {
        "head_dim": 8,
        "encoder": {"embed_dim": [32, 16], "layers": [2, 1], "ffn_dim": [48, 24], "self_attention_heads": [4, 2]},
    },
    "super_training": {**TRAINING, "max_update": 120, "strategy": "sandwich"},
    "sub_training": {**TRAINING, "max_update": 40, "average_checkpoints": 2, "init": "inherit"},
    "latency": {"samples": 14, "repeats": 2},
    "search": {
        "latency": ["90%"],
        "population": 8,
        "parents": 4,
        "mutations": 4,
        "crossovers": 2,
        "iterations": 2,
        "measured_finalists": 2,
        "validation_sentences": 40,
    },
}


def write_text(path, count, seed):
    """A TSV file of texts that name two things, each with an opinion: the first one's is the label."""
    rng = random.Random(seed)
    with open(path, "w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file, delimiter="\t")
        rows.writerow(["text", "label"])
        for _ in range(count):
            label, other = rng.choice(["good", "bad"]), rng.choice([GOOD, BAD])
            first, second = rng.sample(THINGS, 2)
            opinion = rng.choice(GOOD if label == "good" else BAD)
            rows.writerow([f"the {first} is {opinion} and the {second} is {rng.choice(other)}", label])


def make_run(folder, **sections):
    """A RunDirectory in `folder`, its data not prepared yet; `sections` replace or extend those of CONFIG."""
    for name, count in (("train", 400), ("valid", 60)):
        write_text(folder / f"{name}.tsv", count, name)
    changed = {name: CONFIG.get(name, {}) | section for name, section in sections.items()}
    config = CONFIG | changed
    paths = {split: [str(folder / name) for name in config["data"][split]] for split in ("train", "valid", "test")}
    config = config | {"data": config["data"] | paths}
    (folder / "tiny.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
    return RunDirectory.create(folder / "tiny.yaml", folder / "run")


def trained_run(folder, **sections):
    """`make_run`, its data prepared and the full-size network trained from scratch, by the commands."""
    from hat.cli import prepare, train_sub

    sections["sub_training"] = {"init": "scratch", **sections.get("sub_training", {})}
    run = make_run(folder, **sections)
    prepare.main([str(folder / "tiny.yaml"), "--run", str(run.path)])
    train_sub.main(["--architecture", "full", "--run", str(run.path), "--device", "cpu", "--threads", "1"])
    return run
