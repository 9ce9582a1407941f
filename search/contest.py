"""From candidates to the winner: the best are timed, trained briefly, and the survivor is timed once more."""

import functools

from hat import files
from hat.config import from_mapping, to_mapping
from hat.errors import BudgetError
from search.finalists import Finalist, Finals
from search.halving import Halving
from search.state import load_state, save_state


def hold_contest(run, directory, budget, candidates, limit_ms, instruments, inputs):
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


def _keep(path, fingerprint, batches):
    save_state(path, fingerprint, [[to_mapping(finalist) for finalist in batch] for batch in batches])
