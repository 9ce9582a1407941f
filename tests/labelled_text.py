"""hat-prepare on a tiny labelled text in the current folder, through its own command."""

import csv
import json
from pathlib import Path

import pytest
import yaml
from preparing import SCHEDULE, STACK

from hat.data.classification.reviews import generate

FILES = {"train": ["train.tsv"], "valid": ["valid.csv"], "test": ["test.jsonl"]}


def write_config(path="small.yaml", model=None, **data):
    """A classifier's config: of FILES unless `data` says otherwise."""
    config = {
        "task": "classification",
        "data": {"corpus": "files", "vocabulary_size": 120, "max_length": 24, **FILES, **data},
        "model": model or {},
        "search_space": {"head_dim": 8, "encoder": STACK},
        "super_training": SCHEDULE,
        "sub_training": SCHEDULE,
    }
    Path(path).write_text(yaml.safe_dump(config), encoding="utf-8")
    return path


def write_table(path, names, rows):
    """Rows of strings as .tsv, .csv or .jsonl."""
    path = Path(path)
    with open(path, "w", encoding="utf-8", newline="") as output:
        if path.suffix == ".csv":
            csv.writer(output).writerows([names, *rows])
        elif path.suffix == ".tsv":
            output.writelines("\t".join(row) + "\n" for row in [names, *rows])
        else:
            output.writelines(json.dumps(dict(zip(names, row, strict=True))) + "\n" for row in rows)


@pytest.fixture
def reviews():
    """{split: (text, label) rows}, written as FILES."""
    rows = generate(7, 340)["train"]
    rows = {"train": rows[:300], "valid": rows[300:320], "test": rows[320:]}
    for split, (name,) in FILES.items():
        write_table(name, ["text", "label"], rows[split])
    return rows
