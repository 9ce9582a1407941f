"""pruned.json, which lies beside a compressed network: what was removed from which, or how it was rounded."""

from pathlib import Path
from typing import Any

from hat import files

PRUNED = "pruned.json"


def write_pruned(directory: Path, dense: str, rate: float, places: list[dict[str, Any]], weights: str = "") -> None:
    """Write it for a network of which 1 / `rate` of what was there of `dense` is left.

    Its matrices have values of the precision `weights`, if one is given. Each of the `places` says how many `groups` it
    was designed with, how many are `kept`, and `parameters_each`.
    """
    removed = sum(place["parameters_each"] * (place["groups"] - place["kept"]) for place in places)
    content = {"dense": dense, "rate": rate, "removed_parameters": removed, "places": places}
    if weights:
        content["weights"] = weights
    files.write_json(directory / PRUNED, content)


def read_pruned(directory: Path) -> dict[str, Any] | None:
    """What `write_pruned` wrote; None for a network that was never pruned."""
    path = directory / PRUNED
    return files.read_json(path, "compress again") if path.exists() else None
