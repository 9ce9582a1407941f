"""Measures which products by blocks are faster than whole ones on a device: `hat-measure-latency --blocks`.

The device's agent times a few products, each a graph of its own such as exports are made of, whole and in blocks of
several heights that keep several shares of their columns. What follows for others (see fitting.block_fit) is kept in
latency/DEVICE.blocks.json of the run, with the times and what they were measured on.
"""

import itertools
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from onnx import ModelProto

from hat import files
from hat.config import from_mapping, to_mapping
from hat.deploy.building.block_costs import UNMEASURED, BlockCosts, DeviceCosts, StackCosts
from hat.deploy.building.column_blocks import ColumnBlocks
from hat.deploy.building.graph_builder import GraphBuilder
from hat.deploy.building.products import PRODUCTS
from hat.errors import ArtifactError, UsageError
from hat.experiment.run_directory import RunDirectory
from latency_predictor.fitting.block_fit import TimedProduct, fit_block_costs
from latency_predictor.link.devices import Device, why_not
from latency_predictor.sampling.skeleton import packed

SHAPES = ((256, 256), (512, 512), (1024, 512))  # (outputs, inputs) of the matrices
HEIGHTS = (16, 64, 256)  # rows of the blocks
SHARES = (0.2, 0.5)  # of the columns that each keeps
ROWS = {"encoder": 32, "decoder": 4}  # of what they multiply: about a sentence's tokens, and a beam's hypotheses
REPEATS = 12  # of each product, at least
SEED = 1
NAME = "layer"
AGAIN = "measure again: hat-measure-latency --blocks --device {}"

Blocks = tuple[tuple[int, int], ...]


def measure_blocks(run: RunDirectory, device: Device) -> DeviceCosts:
    """Measure a Device, and keep what was found in the run; raises UsageError for one that runs no bundles."""
    if device.backend != "onnxruntime":
        raise UsageError(f"device {device.name}: runs PyTorch, not bundles, whose products --blocks is about")
    name = base_name(device)
    found = {precision: _timed(device, precision) for precision in ("fp32", "int8") if not why_not(device, precision)}
    stacks = {
        precision: StackCosts(**{stack: fit_block_costs(products) for stack, products in timed.items()})
        for precision, (timed, _) in found.items()
    }
    costs = DeviceCosts(name, **stacks)
    content = {
        "costs": to_mapping(costs),
        "measured_on": {**_settings(device), "environment": found["fp32"][1]},
        "rows": ROWS,
        "products": {precision: _listed(timed) for precision, (timed, _) in found.items()},
    }
    files.write_json(blocks_path(run, device), content)
    return costs


def read_block_costs(run: RunDirectory, device: Device) -> DeviceCosts:
    """What `measure_blocks` kept of a Device; UNMEASURED if it never did.

    Raises ArtifactError if the device's settings have changed since.
    """
    path = blocks_path(run, device)
    if not path.exists():
        return UNMEASURED
    kept = files.read_json(path, "remove it")
    again = AGAIN.format(base_name(device))
    try:
        costs, measured_on = from_mapping(DeviceCosts, kept["costs"], str(path)), kept["measured_on"]
    except (KeyError, TypeError, UsageError):
        raise ArtifactError(f"{path} is damaged; {again}") from None
    for key, value in _settings(device).items():
        if measured_on.get(key) != value:
            raise ArtifactError(f"{path} was measured with {key}: {measured_on.get(key)}, not {value}; {again}")
    return costs


def blocks_path(run: RunDirectory, device: Device) -> Path:
    """Where a device's costs of blocks lie in a run; those of all precisions together."""
    return run.latency / f"{base_name(device)}.blocks.json"


def base_name(device: Device) -> str:
    """The name of a device whatever the precision that it runs."""
    return device.name.removesuffix(f".{device.precision}")


def summary(costs: BlockCosts) -> str:
    """For the user: which share of the columns blocks may keep at most to be faster than a whole product."""
    rows, columns = SHAPES[1]
    most = {height: _highest_share(costs, (rows, columns), height) for height in HEIGHTS}
    return ", ".join(
        f"{height} rows " + (f"pay from rate {1 / share:.3g} on" if share else "never pay")
        for height, share in most.items()
    )


def _highest_share(costs: BlockCosts, shape: tuple[int, int], height: int) -> float:
    counts = range(shape[1] - 1, 0, -1)
    kept = next((n for n in counts if costs.relative(shape, [(height, n)] * (shape[0] // height)) < 1), 0)
    return kept / shape[1]


def _settings(device: Device) -> dict[str, Any]:
    return {"threads": device.threads, "accelerator": device.accelerator}


def _timed(device: Device, precision: str) -> tuple[dict[str, list[TimedProduct]], dict[str, Any]]:
    """({stack: [TimedProduct]} in units of the reference's time beside each, the environment)"""
    from latency_predictor.link.connection import Connection

    reference = packed({"product": product_graph(SHAPES[1], (SHAPES[1],), precision)})
    setup = {
        "task": "products",
        "workload": {},
        "repeats": REPEATS,
        "phases": ["product"],
        "points": [[count] for count in ROWS.values()],
        "reference": reference,
    }
    timed: dict[str, list[TimedProduct]] = {stack: [] for stack in ROWS}
    with Connection(device, setup) as connection:
        for warning in connection.ready["warnings"]:
            print(f"warning: {device.name}: {warning}", file=sys.stderr)
        for shape, blocks in grid():
            subject = packed({"product": product_graph(shape, blocks, precision)})
            reply = connection.ask({"type": "measure", "subject": subject})
            for stack, point in zip(timed, reply["lengths"], strict=True):
                time = point["total_ms"]["p25"] / reply["reference_ms"]["p25"]
                timed[stack].append(TimedProduct(blocks, blocks == (shape,), time))
    return timed, reply["environment"]


def grid() -> list[tuple[tuple[int, int], Blocks]]:
    """[(shape, blocks)] of the products to be timed, the whole ones among them."""
    found: list[tuple[tuple[int, int], Blocks]] = [(shape, (shape,)) for shape in SHAPES]
    for (rows, columns), height, share in itertools.product(SHAPES, HEIGHTS, SHARES):
        found.append(((rows, columns), ((height, round(share * columns)),) * (rows // height)))
    return found


def product_graph(shape: tuple[int, int], blocks: Blocks, precision: str) -> ModelProto:
    """x (rows, inputs) -> y (rows, outputs), by a matrix of this shape, (outputs, inputs), in these blocks.

    Which columns a block keeps is drawn, and so are the weights.
    """
    graph, rng = GraphBuilder("product"), np.random.default_rng(SEED)
    matrix: Any = rng.uniform(0.01, 0.05, shape).astype(np.float32)
    if blocks != (shape,):
        columns = tuple(np.sort(rng.choice(shape[1], kept, replace=False)) for _, kept in blocks)
        parts = zip(np.split(matrix, np.cumsum([rows for rows, _ in blocks])[:-1]), columns, strict=True)
        matrix = ColumnBlocks(columns, tuple(part[:, some] for part, some in parts), shape[1])
    x = graph.input("x", "float32", ["rows", shape[1]])
    weights = {f"{NAME}.weight": matrix, f"{NAME}.bias": np.zeros(shape[0], np.float32)}
    graph.node("Identity", [PRODUCTS[precision](graph, weights).linear(x, NAME)], ["y"])
    graph.output("y", "float32", ["rows", shape[0]])
    return graph.model({})


def _listed(timed: dict[str, list[TimedProduct]]) -> dict[str, Sequence[Any]]:
    """The times as JSON: [rows of a block, columns of it, blocks, time]."""
    return {
        stack: [[*product.blocks[0], len(product.blocks), product.time] for product in products]
        for stack, products in timed.items()
    }
