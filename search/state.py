"""The state of an interrupted search, saved in one step after every generation."""

from pathlib import Path
from typing import Any

from hat import files

REMEDY = "remove it and run hat-search again"


def load_state(path: Path, inputs: str) -> Any:
    """What `save_state` kept for these inputs (a fingerprint), or None if there is nothing or for others."""
    if not path.exists():
        return None
    kept = files.read_json(path, REMEDY)
    return kept["state"] if isinstance(kept, dict) and kept.get("inputs") == inputs else None


def save_state(path: Path, inputs: str, state: Any) -> None:
    """Keep a JSON-like state."""
    files.write_json(path, {"inputs": inputs, "state": state})
