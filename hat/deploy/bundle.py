"""Bundles: folders that hold all a model needs to run, and `open_bundle`, which trusts nothing before checking it.

`bundle.json` describes the model and names every other file with its size and SHA-256.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from hat.errors import ArtifactError

FORMAT = "hat-bundle"
VERSION = 2
DESCRIPTION = "bundle.json"
REMEDY = "export it again with hat-export or restore it from a copy"


class TaskKeys(NamedTuple):
    """What bundle.json must hold for one task; there may be more."""

    command: str  # that uses such a bundle
    keys: dict  # key -> the types it may have
    nested: dict  # key -> the same for the dictionary there
    named: dict  # section -> what it must name files for
    limit: tuple  # key of the longest text in tokens, and the least that it may be


TASKS = {
    "translation": TaskKeys(
        "hat-translate",
        {
            "precision": str,
            "architecture": dict,
            "source_lang": str,
            "target_lang": str,
            "spec": dict,
            "max_source_tokens": int,
            "search": dict,
            "graphs": dict,
            "tokenizers": dict,
            "built_from": dict,
            "files": dict,
        },
        {
            "spec": {"padding": int, "end_of_sentence": int, "target_vocabulary": int},
            "search": {"beam": int, "lenpen": (int, float), "max_len_a": (int, float), "max_len_b": int},
        },
        {
            "graphs": ("encoder", "step", "beam", "greedy", "beam_shortlist", "greedy_shortlist"),
            "tokenizers": ("source", "target"),
        },
        ("max_source_tokens", 2),
    ),
    "classification": TaskKeys(
        "hat-classify",
        {
            "precision": str,
            "architecture": dict,
            "spec": dict,
            "labels": list,
            "max_tokens": int,
            "graphs": dict,
            "tokenizers": dict,
            "built_from": dict,
            "files": dict,
        },
        {"spec": {"vocabulary": int, "padding": int, "separator": int, "segments": int}},
        {"graphs": ("classifier",), "tokenizers": ("text",)},
        ("max_tokens", 3),
    ),
    "language_modeling": TaskKeys(
        "hat-generate",
        {
            "precision": str,
            "architecture": dict,
            "spec": dict,
            "context": int,
            "graphs": dict,
            "tokenizers": dict,
            "built_from": dict,
            "files": dict,
        },
        {"spec": {"vocabulary": int, "end_of_line": int, "unknown": int}},
        {"graphs": ("step",), "tokenizers": ("words",)},
        ("context", 1),
    ),
}
DEFAULT_TASK = "translation"  # of bundles that name none

# In an ONNX file, before the name of a file that its weights lie in: StringStringEntryProto("location", NAME).
LOCATION = re.compile(rb"\x0a\x08location\x12(?P<length>[\x01-\x7f])")


class Bundle:
    """A checked bundle: `description` is the content of bundle.json."""

    def __init__(self, path: Path, description: dict[str, Any]) -> None:
        self.path, self.description = path, description

    @property
    def task(self) -> str:
        """Name of what it is for, a key of TASKS."""
        return self.description.get("task", DEFAULT_TASK)

    def graphs(self) -> dict[str, Path]:
        """{name: path of its ONNX file} of all graphs."""
        return {name: self.path / file for name, file in self.description["graphs"].items()}

    def tokenizer(self, role: str) -> Path:
        """Path of the tokenizer of `source`, `target` or `text`, or of the `words`."""
        return self.path / self.description["tokenizers"][role]

    @property
    def shortlist(self) -> Path | None:
        """Path of the shortlist, None for a bundle without one."""
        name = self.description.get("shortlist")
        return None if name is None else self.path / name

    @property
    def size_bytes(self) -> int:
        """Size of all files together, bundle.json included."""
        listed = sum(entry["size"] for entry in self.description["files"].values())
        return listed + (self.path / DESCRIPTION).stat().st_size


def open_bundle(path: Path | str, task: str | None = None) -> Bundle:
    """The Bundle in folder `path`; raises ArtifactError if it is missing, foreign, older, newer, truncated or changed.

    With `task` it must be of that one. Keys and files that this version doesn't know are left alone.
    """
    path = Path(path)
    description = _read_description(path)
    needs = _task_keys(path, description, task)
    _check_keys(path, "", description, needs.keys)
    for key, keys in needs.nested.items():
        _check_keys(path, f"{key}.", description[key], keys)
    limit, least = needs.limit
    if description[limit] < least:
        raise ArtifactError(f"{path / DESCRIPTION}: {limit} is below {least}, so no sentence fits; {REMEDY}")
    _check_labels(path, description)
    files = description["files"]
    for key, name in _named_files(description, needs).items():
        if not isinstance(name, str) or name not in files:
            raise ArtifactError(f"{path / DESCRIPTION}: {key} names no file of the bundle; {REMEDY}")
    for name, entry in files.items():
        _check_file(path, name, entry)
    bundle = Bundle(path, description)
    for graph in bundle.graphs().values():
        for name in _weight_files(graph) - files.keys():
            raise ArtifactError(f"{path / DESCRIPTION}: files lacks {name}, which {graph.name} reads; {REMEDY}")
    return bundle


def _task_keys(path: Path, description: dict[str, Any], wanted: str | None) -> TaskKeys:
    """The TaskKeys of a description; raises ArtifactError if the task is unknown, or another than `wanted`."""
    task = description.get("task", DEFAULT_TASK)
    if not isinstance(task, str) or task not in TASKS:
        raise ArtifactError(f"{path}: bundles of the task {task!r} are unknown to this version; update HAT")
    if wanted not in (None, task):
        raise ArtifactError(f"{path} is a bundle for {task}, not for {wanted}; use it with {TASKS[task].command}")
    return TASKS[task]


def _named_files(description: dict[str, Any], needs: TaskKeys) -> dict[str, Any]:
    """{where in the description: name of a file}"""
    named = {
        f"{section}.{key}": description[section].get(key)
        for section, required in needs.named.items()
        for key in {**dict.fromkeys(required), **description[section]}
    }
    if description.get("shortlist") is not None:
        named["shortlist"] = description["shortlist"]
    return named


def _check_labels(path: Path, description: dict[str, Any]) -> None:
    labels = description.get("labels", ["", "none"])
    if len(labels) < 2 or not all(isinstance(label, str) for label in labels) or len(set(labels)) < len(labels):
        raise ArtifactError(f"{path / DESCRIPTION}: labels are not two different names or more; {REMEDY}")


def file_entry(path: Path | str) -> dict[str, Any]:
    """{"size", "sha256"} of a file, as listed in bundle.json."""
    digest = hashlib.sha256()
    with open(path, "rb") as handle:
        for block in iter(lambda: handle.read(1 << 20), b""):
            digest.update(block)
    return {"size": Path(path).stat().st_size, "sha256": digest.hexdigest()}


def _read_description(path: Path) -> dict[str, Any]:
    if not path.exists():
        raise ArtifactError(f"{path}: no such bundle; make one with hat-export")
    inner = sorted(folder.parent.name for folder in path.glob(f"*/{DESCRIPTION}"))
    if inner:
        raise ArtifactError(f"{path} holds the bundles {', '.join(inner)}; name one of them, such as {path / inner[0]}")
    try:
        description = json.loads((path / DESCRIPTION).read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        raise ArtifactError(f"{path} is not a bundle (it has no {DESCRIPTION}); make one with hat-export") from None
    except OSError as error:
        raise ArtifactError(f"{path / DESCRIPTION} can't be read ({error.strerror}); {REMEDY}") from None
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
        raise ArtifactError(f"{path / DESCRIPTION} is damaged ({error}); {REMEDY}") from None
    if not isinstance(description, dict) or description.get("format") != FORMAT:
        raise ArtifactError(f"{path / DESCRIPTION} does not describe a bundle; name a folder that hat-export wrote")
    version = description.get("version")
    if not isinstance(version, int):
        raise ArtifactError(f"{path / DESCRIPTION}: version {version!r} is not a number; {REMEDY}")
    if version > VERSION:
        raise ArtifactError(f"{path} has format version {version}, newer than {VERSION}; update HAT")
    if version < VERSION:
        raise ArtifactError(
            f"{path} has format version {version}, older than {VERSION}; export it again with hat-export"
        )
    return description


def _check_keys(path: Path, prefix: str, mapping: dict[str, Any], keys: Mapping[str, Any]) -> None:
    """Raise one ArtifactError naming all keys that are missing or of a wrong type."""
    wrong = [prefix + key for key, types in keys.items() if not isinstance(mapping.get(key), types)]
    if wrong:
        raise ArtifactError(f"{path / DESCRIPTION}: missing or ill-typed {', '.join(wrong)}; {REMEDY}")


def _weight_files(graph: Path) -> set[str]:
    """Names of the files that the graph in this ONNX file reads its weights from."""
    content = graph.read_bytes()
    found = {content[match.end() :][: match["length"][0]] for match in LOCATION.finditer(content)}
    return {name.decode("utf-8", errors="replace") for name in found}


def _check_file(path: Path, name: str, entry: Any) -> None:
    if Path(name).name != name or not isinstance(entry, dict):
        raise ArtifactError(f"{path / DESCRIPTION}: files: {name!r} is not a file of the bundle; {REMEDY}")
    file = path / name
    if not file.is_file():
        raise ArtifactError(f"{file} is missing; {REMEDY}")
    size = file.stat().st_size
    if size != entry.get("size"):
        raise ArtifactError(f"{file} has {size} bytes instead of {entry.get('size')}; {REMEDY}")
    try:
        digest = file_entry(file)["sha256"]
    except OSError as error:
        raise ArtifactError(f"{file} can't be read ({error.strerror}); {REMEDY}") from None
    if digest != entry.get("sha256"):
        raise ArtifactError(f"{file} is not the exported file (its SHA-256 differs); {REMEDY}")
