"""Writes bundles: graphs without their weights, one file with each weight once, tokenizers, description."""

import hashlib
import json
import lzma
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

import onnx
from onnx.external_data_helper import set_external_data

from hat.deploy.bundle import DESCRIPTION, FORMAT, VERSION, file_entry
from hat.deploy.shortlist import Shortlist

WEIGHTS = "weights.bin"
SHORTLIST = "shortlist.npz"
SENTENCEPIECE = "sentencepiece", "model.xz"  # to a third: most is a table of Unicode
ALIGNMENT = 64  # bytes: what vector instructions like
SMALLEST_EXTERNAL = 256  # bytes: smaller constants stay in the graph


def write_bundle(
    directory: Path | str,
    graphs: Mapping[str, onnx.ModelProto],
    tokenizers: Mapping[str, Path | str],
    description: Mapping[str, Any],
    shortlist: Shortlist | None = None,
) -> None:
    """Write a bundle into the empty or new folder `directory` and force it to disk.

    graphs: {name: onnx.ModelProto}, whose constants are moved out of them; tokenizers: {role: path}; description: the
    keys of the task in `hat.deploy.bundle.TASKS` but graphs, tokenizers and files, and `task` unless it is the default;
    shortlist: a Shortlist or None.
    """
    directory = Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    with open(directory / WEIGHTS, "wb") as weights:
        store = _WeightStore(weights)
        for graph in graphs.values():
            store.take(graph)
    graph_names = {name: f"{name}.onnx" for name in graphs}
    for name, graph in graphs.items():
        onnx.save(graph, directory / graph_names[name])
    names: dict[str, Any] = {"graphs": graph_names, "tokenizers": tokenizer_names(tokenizers)}
    for role, name in names["tokenizers"].items():
        (directory / name).write_bytes(tokenizer_content(tokenizers[role], name))
    if shortlist is not None:
        shortlist.save(directory / SHORTLIST)
        names["shortlist"] = SHORTLIST
    listed = {file.name: file_entry(file) for file in sorted(directory.iterdir())}
    (directory / DESCRIPTION).write_text(description_text(description, names, listed), encoding="utf-8")
    for file in directory.iterdir():
        with open(file, "rb") as handle:
            os.fsync(handle.fileno())


def description_text(description: Mapping[str, Any], names: Mapping[str, Any], listed: Mapping[str, Any]) -> str:
    """The content of bundle.json: `names` of graphs, tokenizers and shortlist, `listed` the file_entry of each file."""
    content = {"format": FORMAT, "version": VERSION, **description, **names, "files": listed}
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"


def tokenizer_names(tokenizers: Mapping[str, Path | str]) -> dict[str, str]:
    """{role: file name in a bundle} of tokenizers {role: path}; equal ones are stored once.

    A file ending in .json is one of the package tokenizers, in .txt a list of words, any other a SentencePiece model.
    """
    kinds = {".json": ("tokenizer", "json"), ".txt": ("vocabulary", "txt")}
    (stem, suffix), *others = {kinds.get(Path(path).suffix, SENTENCEPIECE) for path in tokenizers.values()}
    if others:
        stem, suffix = SENTENCEPIECE
    if len({file_entry(path)["sha256"] for path in tokenizers.values()}) == 1:
        return dict.fromkeys(tokenizers, f"{stem}.{suffix}")
    return {role: f"{stem}.{role}.{suffix}" for role in tokenizers}


def tokenizer_content(path: Path | str, name: str) -> bytes:
    """What a bundle's file of that name holds of the tokenizer in the file `path`."""
    content = Path(path).read_bytes()
    return lzma.compress(content) if name.endswith(".xz") else content


class _WeightStore:
    """Appends constants to one file; equal ones of several graphs share their place in it."""

    def __init__(self, handle: BinaryIO) -> None:
        self._handle = handle
        self._places: dict[bytes, int] = {}

    def take(self, model: onnx.ModelProto) -> None:
        """Move the larger constants of `model` into the file and leave references to it."""
        for tensor in model.graph.initializer:
            if len(tensor.raw_data) < SMALLEST_EXTERNAL:
                continue
            offset = self._place(tensor.raw_data)
            set_external_data(tensor, WEIGHTS, offset, len(tensor.raw_data))
            tensor.ClearField("raw_data")

    def _place(self, content: bytes) -> int:
        key = hashlib.sha256(content).digest()
        if key not in self._places:
            self._handle.write(b"\0" * (-self._handle.tell() % ALIGNMENT))
            self._places[key] = self._handle.tell()
            self._handle.write(content)
        return self._places[key]
