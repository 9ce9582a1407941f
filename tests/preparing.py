"""hat-prepare on a tiny parallel text in the current folder, through its own command."""

import gzip
from pathlib import Path

import pytest
import yaml

from hat.cli.prepare import main
from hat.data.translation.synthetic import generate

STACK = {"embed_dim": [16], "layers": [1], "ffn_dim": [16], "self_attention_heads": [2]}
SCHEDULE = {"max_update": 10, "warmup_updates": 5, "lr": 0.001}


def write_config(path="small.yaml", **data):
    data = {"corpus": "files", "source_lang": "de", "target_lang": "en", "vocabulary_size": 120, **data}
    config = {
        "data": data,
        "model": {"share_all_embeddings": data.get("shared_vocabulary", True)},
        "search_space": {
            "qkv_dim": 16,
            "encoder": STACK,
            "decoder": {**STACK, "cross_attention_heads": [2], "cross_attention_span": [1]},
        },
        "super_training": SCHEDULE,
        "sub_training": SCHEDULE,
    }
    Path(path).write_text(yaml.safe_dump(config), encoding="utf-8")
    return path


def write_lines(path, lines, packed=False):
    content = "".join(line + "\n" for line in lines).encode()
    Path(path).write_bytes(gzip.compress(content) if packed else content)


FILES = {split: [f"{split}.de", f"{split}.en"] for split in ("train", "valid", "test")}
NO_FILES = {split: [] for split in FILES}


@pytest.fixture
def text():
    """A tiny parallel text in the current folder: {split: pairs}."""
    pairs = generate(7, 300)["train"]
    text = {"train": pairs[:200], "valid": pairs[200:220], "test": pairs[220:240]}
    for split, rows in text.items():
        for side, lang in enumerate(("de", "en")):
            write_lines(f"{split}.{lang}", [row[side] for row in rows])
    return text


def status(*arguments):
    """Exit status of hat-prepare."""
    try:
        main(list(arguments))
    except SystemExit as ended:
        return ended.code
    return 0


def error_of(capsys, *arguments):
    """(status, error line): the one line that hat-prepare ends with on stderr."""
    code = status(*arguments)
    lines = [line for line in capsys.readouterr().err.splitlines() if ": error: " in line]
    assert len(lines) == 1, lines
    return code, lines[0]


def fairseq_sentences(data, split, lang, pair="de-en"):
    """(dictionary, id arrays) as fairseq's own loader reads them."""
    from fairseq.data import Dictionary, data_utils

    dictionary = Dictionary.load(str(data / f"dict.{lang}.txt"))
    dataset = data_utils.load_indexed_dataset(str(data / f"{split}.{pair}.{lang}"), dictionary)
    return dictionary, [dataset[index].numpy() for index in range(len(dataset))]
