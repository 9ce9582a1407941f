"""compression.html: what every compressed network of a run costs beside its dense original, and what was removed."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hat import files
from hat.architecture.groups import WEIGHTS
from hat.compression.pruned import PRUNED, block_costs_of, read_pruned
from hat.deploy.building.compaction import blocks_and_wholes, without_removed
from hat.experiment.run_directory import RunDirectory
from hat.models.checkpoint import load_weights
from hat.report.figures import BAND, BLUE, GREEN, INK, svgs
from hat.report.page import render

if TYPE_CHECKING:
    from matplotlib.axes import Axes

PAGE = "compression.html"
SHOWN = ("fp32", "int8", "int4", "kmeans4")  # precisions of bundles
MOST_BARS = 40  # of a figure
SIZE = (6.4, 4.4)  # of a figure, in inches


@dataclass(frozen=True)
class Account:
    """One network: `parameters` that aren't zero, `products` of them in the layers' matrices (multiply-adds a token).

    `bundles` {precision: evaluation, or size alone} are those that were exported. `pruned` is None for a dense one.
    Of the matrices that are zero in columns of blocks, fp32 bundles store `by_blocks` so and `whole` as they are, as is
    faster on the `device` where that was measured; "" where it wasn't.
    """

    name: str
    parameters: int
    products: int
    bundles: dict[str, dict[str, Any]]
    pruned: dict[str, Any] | None
    by_blocks: int
    whole: int
    device: str

    @property
    def rate(self) -> float | None:
        return self.pruned["rate"] if self.pruned else None


def write_page(run: RunDirectory) -> Path:
    """Write run.path/compression.html of all that was compressed, and return its path."""
    found = sorted((run.path / "sub").glob(f"*/{PRUNED}"), key=lambda path: path.stat().st_mtime)
    reports: dict[str, Any] = {path.parent.name: read_pruned(path.parent) for path in found}
    originals = list(dict.fromkeys(report["dense"] for report in reports.values()))
    order: list[str] = []
    for original in originals:
        order += [name for name in [original, *_of(reports, original)] if name not in order]
    accounts = [_account(run, name, reports.get(name)) for name in order]
    pruned = {account.name: account.pruned for account in accounts if account.pruned}
    drawn = svgs({f"pruned{number}": (draw_kept, each["places"]) for number, each in enumerate(pruned.values())}, SIZE)
    score, key = run.task.judge(run).columns[0]
    page = render(
        __package__,
        PAGE,
        title=f"Compressed networks of {run.config.name}",
        accounts=accounts,
        precisions=[precision for precision in SHOWN if any(precision in each.bundles for each in accounts)],
        score=score,
        key=key,
        is_sparse=any(_is_sparse(each) for each in reports.values()),
        figures=dict(zip(pruned, drawn.values(), strict=True)),
    )
    path = run.path / PAGE
    files.write_text(path, page)
    return path


def _is_sparse(pruned: dict[str, Any]) -> bool:
    """Whether a network lost single weights, which bundles store and compute with all the same."""
    return pruned["places"][0]["kind"] == WEIGHTS


def _of(reports: dict[str, dict[str, Any]], original: str) -> list[str]:
    return [name for name, report in reports.items() if report["dense"] == original]


def _account(run: RunDirectory, name: str, pruned: dict[str, Any] | None) -> Account:
    architecture, _, weights = load_weights(run.sub(name))
    costs = block_costs_of(run.sub(name))
    by_blocks, whole = 0, 0
    if pruned and not _is_sparse(pruned):
        by_blocks, whole = blocks_and_wholes(without_removed(architecture, weights), costs.at(SHOWN[0]))
    layers = [weight for key, weight in weights.items() if ".layers." in key and weight.ndim > 1]
    return Account(
        name=name,
        parameters=sum(int(np.count_nonzero(weight)) for weight in weights.values()),
        products=sum(int(np.count_nonzero(weight)) for weight in layers),
        bundles={precision: found for precision in SHOWN if (found := _bundle(run.export(name), precision))},
        pruned=pruned,
        by_blocks=by_blocks,
        whole=whole,
        device=costs.device,
    )


def _bundle(exported: Path, precision: str) -> dict[str, Any] | None:
    """Its evaluation, or where it wasn't evaluated {"size_bytes"}; None where there is none."""
    from hat.deploy.bundle import open_bundle

    evaluation = exported / f"evaluation.{precision}.json"
    if evaluation.exists():
        return files.read_json(evaluation, "run hat-evaluate on it again")
    if (exported / precision / "bundle.json").exists():
        return {"size_bytes": open_bundle(exported / precision).size_bytes}
    return None


def draw_kept(axes: "Axes", places: list[dict[str, Any]]) -> None:
    """A bar for each place, the first at the top: the share of its groups that is left."""
    if len(places) > MOST_BARS:
        places = _by_matrix(places)
    rows = np.arange(len(places))
    shares = [place["kept"] / place["groups"] for place in places]
    colours = [GREEN if place["kind"] == "heads" else BLUE for place in places]
    axes.barh(rows, np.ones(len(places)), height=0.7, color=BAND)
    axes.barh(rows, shares, height=0.7, color=colours)
    for row, place in enumerate(places):
        axes.text(1.01, row, f"{place['kept']} of {place['groups']} {place['kind']}", color=INK, va="center")
    axes.set_yticks(rows, [place["place"] for place in places])
    axes.set(xlim=(0, 1.35), xticks=(0, 0.25, 0.5, 0.75, 1), xlabel="share that is left")
    axes.set_ylim(len(places) - 0.4, -0.6)
    axes.grid(visible=False, axis="y")


def _by_matrix(places: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The blocks of each matrix together: their places end with the rows."""
    matrices: dict[str, dict[str, Any]] = {}
    for place in places:
        name = place["place"].partition("[")[0]
        total = matrices.setdefault(name, {"place": name, "kind": place["kind"], "groups": 0, "kept": 0})
        total["groups"] += place["groups"]
        total["kept"] += place["kept"]
    return list(matrices.values())
