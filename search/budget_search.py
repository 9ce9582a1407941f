"""The search for one budget: evolve, choose by measuring, write, report."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from hat import files
from hat.architecture.stacks import Architecture
from hat.experiment.run_directory import RunDirectory, mark_done
from hat.experiment.sections import Experiment
from hat.progress import format_ms
from latency_predictor.budget import LatencyBudget
from latency_predictor.fitting.conversion import Conversion
from search.aim import aimed
from search.choice import describe_choice, finalists_table, write_choice
from search.constraints import Constraints
from search.contest import hold_contest
from search.evaluations import Evaluations
from search.evolution import Evolution
from search.evolving import evolve
from search.finalists import Finalist
from search.instruments import Instruments
from search.limits import Limits
from search.reference import Reference

# A search whose full-size Transformer became faster or slower by this factor meanwhile aimed beside the mark.
DRIFT = 1.25


@dataclass(frozen=True)
class Task:
    """What is searched for: a result's name, a budget and other limits; `inputs` is all that the result depends on."""

    name: str
    device_name: str
    budget: LatencyBudget
    limits: Limits
    inputs: dict


@dataclass(frozen=True)
class Prepared:
    """A Task that was found possible.

    Its `instruments` predict by `conversion` what real calls take; `limit_ms` is the predicted latency that candidates
    must stay within, `constraints` is all that they must meet; the search begins with the `starters`.
    """

    instruments: Instruments
    conversion: Conversion
    limit_ms: float
    constraints: Constraints
    starters: list[Architecture]


def prepare(
    config: Experiment, task: Task, conversion: Conversion, reference: Reference, instruments: Instruments
) -> Prepared:
    """The Prepared of a Task; raises BudgetError, saying what is possible, if nothing meets its limits."""
    instruments = aimed(instruments, conversion)
    limit_ms = reference.limit_ms(task.budget)
    constraints = Constraints(task.limits, limit_ms, reference.fastest, instruments)
    starters = constraints.starters(config.search_space, config.seed, task.budget.text)
    return Prepared(instruments, conversion, limit_ms, constraints, starters)


class BudgetSearch:
    """The search for one Task, which is Prepared; `evaluations` are the run's."""

    def __init__(
        self, run: RunDirectory, task: Task, prepared: Prepared, reference: Reference, evaluations: Evaluations
    ) -> None:
        self._run, self._task, self._prepared, self._reference = run, task, prepared, reference
        self._evaluations, self._directory = evaluations, run.search(task.name)

    def run(self) -> list[Finalist]:
        """Do the whole search, from where an interrupted one stopped, and report on standard output.

        Returns all Finalists, in the order of timing.
        """
        task, instruments = self._task, self._prepared.instruments
        evolution = self._evolve()
        print(f"search {task.name}: timing the best of {len(evolution.candidates)} candidates on {task.device_name}")
        scored = self._evaluations.candidates(instruments.predict)
        allowed = self._prepared.constraints.allow([candidate.architecture for candidate in scored])
        candidates = list(itertools.compress(scored, allowed))
        limits = task.budget, candidates, self._prepared.limit_ms
        winner, finalists, losses = hold_contest(self._run, self._directory, *limits, instruments, task.inputs)
        choice = describe_choice(task, winner, self._prepared, self._run.config.search_space)
        found = winner, finalists, losses, evolution.candidates, scored, evolution.history
        write_choice(self._directory, choice, *found, self._run.task.loss_scale)
        mark_done(self._directory, task.inputs, ["architecture.yaml"])
        self._report(finalists, winner, losses)
        return finalists

    def _evolve(self) -> Evolution:
        config, prepared, path = self._run.config, self._prepared, self._directory / "state.json"
        instruments = prepared.instruments
        evolution = Evolution(
            config.search_space,
            config.search,
            instruments.predict,
            prepared.constraints.allow,
            config.seed,
            prepared.starters,
        )
        title, fingerprint = f"search {self._task.name}", files.fingerprint([self._task.inputs, prepared.limit_ms])
        evolve(evolution, title, path, fingerprint, self._evaluations, instruments.scores, config.search.parents)
        return evolution

    def _report(
        self, finalists: Sequence[Finalist], winner: Finalist, losses: Mapping[Architecture, Mapping[int, float]]
    ) -> None:
        name, spec, scale = self._task.name, self._prepared.instruments.spec, self._run.task.loss_scale
        print(f"\nSearch {name}: finalists, best loss first, * chosen")
        print("\n".join(finalists_table(finalists, winner, losses, spec, scale)))
        self._warn_of_drift(winner)
        print(
            f"full-size Transformer {format_ms(winner.full.ms)}, chosen {format_ms(winner.latency.ms)} "
            f"({winner.full.ms / winner.latency.ms:.2f} times faster)\n"
            f"results: {self._directory} (architecture.yaml, choice.json, front.png)\n"
            f"next: hat-train-sub {name}"
        )

    def _warn_of_drift(self, winner: Finalist) -> None:
        before_ms, now_ms = self._reference.full_ms, winner.full.ms
        if not 1 / DRIFT < now_ms / before_ms < DRIFT:
            print(
                f"warning: the full-size Transformer took {format_ms(before_ms)} when the search began and "
                f"{format_ms(now_ms)} at its end: the machine is busy; when it is quiet, remove {self._directory} and "
                f"{self._run.path / 'search'}/reference.{self._task.device_name}* and search again"
            )
