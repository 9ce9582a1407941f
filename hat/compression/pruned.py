"""pruned.json, which lies beside a compressed network: what was removed from which, or how it was rounded.

It also keeps the costs of blocks on the device that this was done for: all bundles of it multiply by the same blocks.
"""

from pathlib import Path
from typing import Any

from hat import files
from hat.config import from_mapping, to_mapping
from hat.deploy.building.block_costs import UNMEASURED, DeviceCosts

PRUNED = "pruned.json"


def write_pruned(
    directory: Path,
    dense: str,
    rate: float,
    places: list[dict[str, Any]],
    weights: str = "",
    costs: DeviceCosts = UNMEASURED,
) -> None:
    """Write it for a network of which 1 / `rate` of what was there of `dense` is left.

    Its matrices have values of the precision `weights`, if one is given. Each of the `places` says how many `groups` it
    was designed with, how many are `kept`, and `parameters_each`.
    """
    removed = sum(place["parameters_each"] * (place["groups"] - place["kept"]) for place in places)
    content = {"dense": dense, "rate": rate, "removed_parameters": removed, "places": places}
    if weights:
        content["weights"] = weights
    if costs.device:
        content["block_costs"] = to_mapping(costs)
    files.write_json(directory / PRUNED, content)


def read_pruned(directory: Path) -> dict[str, Any] | None:
    """What `write_pruned` wrote; None for a network that was never pruned."""
    path = directory / PRUNED
    return files.read_json(path, "compress again") if path.exists() else None


def carry_pruned(source: Path, directory: Path) -> None:
    """Leave in `directory`, whose network has the weights of that in `source`, what lies beside that: maybe nothing."""
    content = read_pruned(source)
    if content is None:
        (directory / PRUNED).unlink(missing_ok=True)
    else:
        files.write_json(directory / PRUNED, content)


def block_costs_of(directory: Path) -> DeviceCosts:
    """By which bundles of the network in this folder choose what they multiply by blocks."""
    kept = (read_pruned(directory) or {}).get("block_costs")
    return UNMEASURED if kept is None else from_mapping(DeviceCosts, kept, f"{directory / PRUNED}: block_costs")
