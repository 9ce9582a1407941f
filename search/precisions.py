"""The precision as a choice of the search: a larger int8 network against a smaller fp32 one, in the same milliseconds.

Each precision is searched for by itself, with its own latency samples; candidates' losses are shared. The two winners
are compared by loss, which is that of their float32 weights: int8 is taken to lose nothing by it. What it does lose is
known once the winner is trained, from hat-export, which refuses a bundle that loses too much.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from hat import files
from hat.errors import BudgetError, UsageError
from hat.experiment.run_directory import RunDirectory, mark_done
from hat.training.options import TrainingOptions
from latency_predictor.budget import LatencyBudget
from latency_predictor.link.devices import load_device, with_precision
from search.limits import NO_LIMITS, Limits
from search.run import PLAIN, name_budgets, search

ANY = "any"
PRECISIONS = ("int8", "fp32")  # of equal losses the first one wins: its bundle is smaller
CHOSEN = ("architecture.yaml", "choice.json")


def search_precisions(
    run: RunDirectory,
    device_name: str,
    budgets: Sequence[LatencyBudget],
    name: str | None = None,
    limits: Limits = NO_LIMITS,
    options: TrainingOptions = PLAIN,
) -> list[str]:
    """`search` for bundles of any precision; returns the names of the results, in the budgets' order.

    A result holds the architecture.yaml and choice.json of the better winner, `precision` among it. Raises what
    `search` does, BudgetError if no precision meets a budget, and UsageError for a budget that is a share: each
    precision has a full-size Transformer of its own.
    """
    for budget in budgets:
        if budget.fraction is not None:
            raise UsageError(
                f"latency budget {budget.text}: the full-size Transformer's latency is another one in each precision; "
                f"with --precision {ANY} write for example --latency 200ms"
            )
    plain = with_precision(load_device(device_name), "fp32").name.removesuffix(".fp32")
    named = name_budgets(f"{plain}.{ANY}", budgets, name, limits)
    for result, budget in named.items():
        _choose(run, result, _winners(run, device_name, budget, name, limits, options))
    return list(named)


def _winners(
    run: RunDirectory,
    device_name: str,
    budget: LatencyBudget,
    name: str | None,
    limits: Limits,
    options: TrainingOptions,
) -> dict[str, dict[str, Any]]:
    """{name of the search: its choice.json} of the precisions in which the budget can be met."""
    winners: dict[str, dict[str, Any]] = {}
    impossible: list[BudgetError] = []
    for precision in (each for each in PRECISIONS if each in run.task.precisions):
        try:
            own_name = name and f"{name}.{precision}"
            (found,) = search(run, f"{device_name}.{precision}", [budget], own_name, limits, options)
        except BudgetError as error:
            print(f"{precision}: {error}")
            impossible.append(error)
        else:
            winners[found] = files.read_json(run.search(found) / "choice.json", "run hat-search again")
    if not winners:
        raise impossible[0]
    return winners


def _choose(run: RunDirectory, name: str, winners: Mapping[str, dict[str, Any]]) -> None:
    """Leave the better one of the `winners` as the search `name`."""
    losses = dict(zip(winners, comparable_losses(list(winners.values())), strict=True))
    best = min(losses, key=lambda found: losses[found])
    directory, choice = run.search(name), winners[best] | {"name": name}
    files.write_text(directory / CHOSEN[0], (run.search(best) / CHOSEN[0]).read_text(encoding="utf-8"))
    files.write_json(directory / CHOSEN[1], choice)
    mark_done(directory, winners, CHOSEN)
    compared = ", ".join(f"{found} {loss:.4f}" for found, loss in losses.items())
    print(
        f"search {name}: the best is {best} (nats/token: {compared}; int8 is taken to lose nothing)\n"
        f"next: hat-train-sub {name}, then hat-export {name} --precision {choice['precision']}"
    )


def comparable_losses(choices: Sequence[Mapping[str, Any]]) -> list[float]:
    """A loss of each choice.json: after the most updates that all of them were trained for, or the inherited one."""
    updates = set.intersection(*(set(choice["trained_nats"]) for choice in choices))
    if not updates:
        return [choice["valid_nats"] for choice in choices]
    last = max(updates, key=int)
    return [choice["trained_nats"][last] for choice in choices]
