"""From candidates to the winner: the best are timed, trained briefly, and the survivor is timed once more."""

import functools
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from hat import files
from hat.architecture.stacks import Architecture
from hat.config import from_mapping, to_mapping
from hat.errors import BudgetError
from hat.experiment.run_directory import RunDirectory
from latency_predictor.budget import LatencyBudget
from search.candidate import Candidate
from search.finalists import Finalist, Finals
from search.halving import Halving
from search.instruments import Instruments
from search.state import load_state, save_state


def hold_contest(
    run: RunDirectory,
    directory: Path,
    budget: LatencyBudget,
    candidates: Sequence[Candidate],
    limit_ms: float,
    instruments: Instruments,
    inputs: Any,
) -> tuple[Finalist, list[Finalist], dict[Architecture, dict[int, float]]]:
    """(the winner, all Finalists in the order of timing, Architecture -> {update: loss} of those that were trained).

    Timings are kept in `directory` as they are taken, so that one that was interrupted while it trained goes on with
    the same finalists. Losses are validation losses in nats per target token. Raises BudgetError if no candidate meets
    the budget; the next call then times them anew.
    """
    settings, path = run.config.search, directory / "timings.json"
    fingerprint = files.fingerprint([inputs, limit_ms])
    kept = [[from_mapping(Finalist, row, str(path)) for row in batch] for batch in load_state(path, fingerprint) or []]
    halving = Halving(settings.halving_updates, settings.trained_finalists, instruments.train)
    keep = functools.partial(_keep, path, fingerprint)
    finals = Finals(budget, run.config.search_space.full_transformer(), instruments.measure, kept, keep)
    try:
        winner = finals.choose(candidates, limit_ms, settings.measured_finalists, halving.rank)
    except BudgetError:
        path.unlink(missing_ok=True)
        raise
    return winner, finals.measured, halving.losses


def _keep(path: Path, fingerprint: str, batches: Iterable[Iterable[Finalist]]) -> None:
    save_state(path, fingerprint, [[to_mapping(finalist) for finalist in batch] for batch in batches])
