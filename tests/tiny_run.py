"""A tiny run directory with prepared data, on which a training takes seconds."""

import contextlib
import os
import random
import shutil
import tempfile
from pathlib import Path

import yaml

from hat import files
from hat.data.translation.prepare import prepare
from hat.experiment.run_directory import RunDirectory
from hat.training.options import TrainingOptions
from hat.training.super import train_super

KEPT = tempfile.TemporaryDirectory(prefix="hat-tiny-")
WORDS = ["ein", "der", "Hund", "Mann", "Haus", "rot", "alt", "rennt", "singt", "sieht", "und", "heute"]

CONFIG = {
    "name": "tiny",
    "data": {
        "corpus": "files",
        "source_lang": "de",
        "target_lang": "en",
        "train": ["train.de", "train.en"],
        "valid": ["valid.de", "valid.en"],
        "test": ["valid.de", "valid.en"],
        "vocabulary_size": 40,
    },
    "model": {"dropout": 0.1, "attention_dropout": 0.1},
    "search_space": {
        "qkv_dim": 16,
        "encoder": {"embed_dim": [24, 16], "layers": [2, 1], "ffn_dim": [32, 20], "self_attention_heads": [4, 2]},
        "decoder": {
            "embed_dim": [24, 16],
            "layers": [2, 1],
            "ffn_dim": [32, 20],
            "self_attention_heads": [4, 2],
            "cross_attention_heads": [4, 2],
            "cross_attention_span": [1, 2],
        },
    },
    "super_training": {
        "max_update": 20,
        "warmup_updates": 4,
        "lr": 0.01,
        "max_tokens": 400,
        "tokens_per_update": 800,
        "validate_every": 8,
        "save_every": 3,
    },
    "sub_training": {
        "max_update": 12,
        "warmup_updates": 4,
        "lr": 0.01,
        "lr_scheduler": "cosine",
        "max_tokens": 400,
        "tokens_per_update": 400,
        "validate_every": 6,
        "save_every": 3,
        "average_checkpoints": 3,
    },
}


def make_run(folder, **sections):
    """A RunDirectory in `folder` with prepared data; `sections` update those of CONFIG."""
    config = {**CONFIG, **{name: {**CONFIG.get(name, {}), **changes} for name, changes in sections.items()}}
    rng = random.Random(1)
    for split, count in (("train", 150), ("valid", 20)):
        lines = [" ".join(rng.choices(WORDS, k=rng.randint(2, 9))) for _ in range(count)]
        (folder / f"{split}.de").write_text("\n".join(lines) + "\n", encoding="utf-8")
        (folder / f"{split}.en").write_text("\n".join(line[::-1] for line in lines) + "\n", encoding="utf-8")
    (folder / "tiny.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
    with _inside(folder):
        run = RunDirectory.create("tiny.yaml", folder / "run")
        _prepare(run)
    return run


def _prepare(run):
    """Equal data are prepared once in a session, and then copied."""
    kept = Path(KEPT.name) / files.fingerprint(run.sections("data", "seed"))
    if kept.exists() and not run.data.exists():
        shutil.copytree(kept, run.data)
    else:
        prepare(run)
        shutil.copytree(run.data, kept, dirs_exist_ok=True)


def make_interrupted_run(folder, **sections):
    """`make_run`, whose SuperTransformer came to its first checkpoint."""
    run = make_run(folder, **sections)
    train_super(run, TrainingOptions(max_update=3))
    (run.super_ / "done.json").unlink()
    return run


@contextlib.contextmanager
def _inside(folder):
    before = os.getcwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)
