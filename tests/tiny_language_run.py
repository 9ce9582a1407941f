"""A tiny language-modelling run: lines that tell what was bought, and by whom, twice."""

import random

import yaml

from hat.experiment.run_directory import RunDirectory
from hat.training.sub import train_sub

TRAINING = {
    "warmup_updates": 10,
    "lr": 0.01,
    "lr_scheduler": "cosine",
    "max_tokens": 512,
    "tokens_per_update": 512,
    "label_smoothing": 0.0,
    "validate_every": 20,
    "save_every": 10,
}
CONFIG = {
    "task": "language_modeling",
    "name": "tiny",
    "data": {
        "corpus": "files",
        "train": ["train.txt"],
        "valid": ["valid.txt"],
        "test": ["valid.txt"],
        "max_length": 32,
    },
    "model": {"cutoffs": [6, 12], "bin_dims": [24, 8, 4], "dropout": 0.0, "embedding_dropout": 0.0},
    "search_space": {
        "decoder": {
            "embed_dim": [24, 16],
            "layers": [2, 1],
            "ffn_dim": [32, 20],
            "self_attention_heads": [2, 1],
            "head_dim": [8, 4],
            "context": [12, 5],
            "bin_dims": [[8, 4], [4, 2]],
        }
    },
    "super_training": {**TRAINING, "max_update": 40, "strategy": "sandwich"},
    "sub_training": {**TRAINING, "max_update": 40, "average_checkpoints": 2},
    "latency": {"samples": 14, "repeats": 2, "prompt": 6, "words": 4},
    "search": {
        "latency": ["90%"],
        "population": 8,
        "parents": 4,
        "mutations": 4,
        "crossovers": 2,
        "iterations": 2,
        "measured_finalists": 2,
        "validation_sentences": 30,
        "rungs": [10],
    },
}
NAMES = ["anna", "ben", "clara", "david", "emma", "felix"]
THINGS = ["apples", "pears", "bread", "milk", "tea"]


def write_text(path, count, seed):
    """Lines of which the second half repeats the first."""
    rng = random.Random(seed)
    with open(path, "w", encoding="utf-8") as file:
        for _ in range(count):
            bought = f"{rng.choice(NAMES)} bought {rng.choice(THINGS)}"
            file.write(f"{bought} yes {bought}\n")


def make_run(folder, **sections):
    """A RunDirectory in `folder`, its data not prepared yet; `sections` replace or extend those of CONFIG."""
    for name, count in (("train", 300), ("valid", 40)):
        write_text(folder / f"{name}.txt", count, name)
    config = CONFIG | {name: CONFIG.get(name, {}) | section for name, section in sections.items()}
    paths = {split: [str(folder / name) for name in config["data"][split]] for split in ("train", "valid", "test")}
    config = config | {"data": config["data"] | paths}
    (folder / "tiny.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
    return RunDirectory.create(folder / "tiny.yaml", folder / "run")


def trained_run(folder, **sections):
    """The same with the full-size network trained."""
    run = make_run(folder, **sections)
    run.prepare()
    train_sub(run, "full", run.config.search_space.full_transformer())
    return run
