"""The search stage: from a SuperTransformer, a latency predictor and budgets to one measured winner a budget."""

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hat import files
from hat.config import to_mapping
from hat.errors import UsageError
from hat.experiment.run_directory import CALLS, RunDirectory, check_supertransformer, is_current, stamp
from hat.training.options import TrainingOptions
from latency_predictor.budget import LatencyBudget
from latency_predictor.link.devices import Device, load_device
from latency_predictor.sampling.lengths import check_quantiles
from latency_predictor.sampling.measure import Measurer
from latency_predictor.sampling.real_calls import RealCalls, check_sentences
from latency_predictor.sampling.sample import quantile_suffix
from search.aim import JUDGED_BY, KnownLatencies, find_conversion, kept_conversion
from search.budget_search import BudgetSearch, Prepared, Task, prepare
from search.candidate import LOSS_UNIT
from search.evaluations import Evaluations
from search.instruments import InheritedCalls, Instruments, instruments_maker
from search.limits import NO_LIMITS, Limits
from search.outlook import outlook
from search.reference import Reference, find_reference

PLAIN = TrainingOptions()


def search(
    run: RunDirectory,
    device_name: str,
    budgets: Sequence[LatencyBudget],
    name: str | None = None,
    limits: Limits = NO_LIMITS,
    options: TrainingOptions = PLAIN,
) -> list[str]:
    """Search for every budget (LatencyBudgets) and return the names of the results, in the budgets' order.

    The winners are within the other Limits, too. Finalists are trained with the TrainingOptions `options`, as their
    final training should be. Results that are up to date stay. Raises ArtifactError naming the stage that has to run
    first, DeviceError for an unknown device, BudgetError before anything is scored if a budget or another limit is
    impossible, or all of them together are; BusyMachineError if other work kept a budget from being met.
    """
    device = load_device(device_name)
    named = name_budgets(device.name, budgets, name, limits)
    check_quantiles(run, budgets)
    check_supertransformer(run)
    check_sentences(run, budgets)
    with contextlib.ExitStack() as stack:
        measurer = stack.enter_context(Measurer(run, device))
        searches = []
        for quantile, alike in _by_quantile(named).items():
            real_calls = stack.enter_context(real_calls_on(run, device, quantile))
            make, timing_inputs = instruments_maker(run, device_name, measurer, quantile, options, real_calls)
            inputs = {"super": stamp(run.super_), **timing_inputs}
            searches.append(_find_possible(run, device.name, alike, inputs, make, limits))
        for possible in filter(None, searches):  # the budgets of every quantile were checked before anything is scored
            _search_all(run, possible)
    return list(named)


@contextlib.contextmanager
def real_calls_on(run: RunDirectory, device: Device, quantile: float) -> Iterator[InheritedCalls | None]:
    """The InheritedCalls to judge by; None where the ruler has to do.

    That is so in this process's PyTorch, and where the config fixes a length that sentences don't have.
    """
    if device.backend == "torch" or not run.task.calls_fit(run.config):
        yield None
    else:
        with InheritedCalls(run, RealCalls(run, device, quantile), device.precision) as real_calls:
            yield real_calls


def check_budgets(
    run: RunDirectory, device_name: str, budgets: Sequence[LatencyBudget], limits: Limits = NO_LIMITS
) -> None:
    """Raise BudgetError if a LatencyBudget or another limit is impossible, or all of them together are.

    By the ruler, as no SuperTransformer is needed, but latency samples are.
    """
    device = load_device(device_name)
    check_sentences(run, budgets)
    with Measurer(run, device) as measurer:
        for quantile, alike in _by_quantile(name_budgets(device.name, budgets)).items():
            make, inputs = instruments_maker(run, device_name, measurer, quantile, PLAIN)
            tasks, instruments = _tasks(run, device.name, alike, inputs, limits), make()
            budgets_alike = list(alike.values())
            reference = run_reference(run, device.name, quantile, inputs, instruments, budgets_alike, kind="check")
            for task in tasks:
                prepare(run.config, task, find_conversion(reference), reference, instruments)


def _by_quantile(named: Mapping[str, LatencyBudget]) -> dict[float, dict[str, LatencyBudget]]:
    """{quantile: {name: budget}}: budgets about the same quantile of sentences share a predictor and a reference."""
    alike: dict[float, dict[str, LatencyBudget]] = {}
    for name, budget in named.items():
        alike.setdefault(budget.quantile, {})[name] = budget
    return alike


def name_budgets(
    device_name: str, budgets: Sequence[LatencyBudget], name: str | None = None, limits: Limits = NO_LIMITS
) -> dict[str, LatencyBudget]:
    """{name of the result: budget}; raises UsageError for a `name` that can't be used."""
    if name is None:
        return {f"{device_name}-{budget.slug()}{limits.slug()}": budget for budget in budgets}
    if len(budgets) != 1:
        raise UsageError(f"--name {name!r} names one search, but {len(budgets)} budgets were given; give one --latency")
    if not name or name.startswith(".") or "/" in name:
        raise UsageError(f"--name {name!r} can't be a folder's name; write for example --name phone")
    if name == front_name(device_name):
        raise UsageError(f"--name {name!r} is the result of --front; write for example --name phone")
    return {name: budgets[0]}


def front_name(device_name: str) -> str:
    """Name of the whole front's search on a device."""
    return f"{device_name}-front"


def search_with(
    run: RunDirectory,
    device_name: str,
    named: Mapping[str, LatencyBudget],
    inputs: dict[str, Any],
    make_instruments: Callable[[], Instruments],
    limits: Limits = NO_LIMITS,
) -> list[str]:
    """`search` of budgets of one quantile, its instruments given: a function, called only if there is work to do."""
    possible = _find_possible(run, device_name, named, inputs, make_instruments, limits)
    if possible is not None:
        _search_all(run, possible)
    return list(named)


@dataclass(frozen=True)
class _Possible:
    """Searches of one quantile that were found possible, each of the `tasks` Prepared by what was known then.

    `super_stamp` is that of the SuperTransformer.
    """

    tasks: list[Task]
    super_stamp: str | None
    instruments: Instruments
    reference: Reference
    known: KnownLatencies
    prepared: dict[str, Prepared]


def _find_possible(
    run: RunDirectory,
    device_name: str,
    named: Mapping[str, LatencyBudget],
    inputs: dict[str, Any],
    make_instruments: Callable[[], Instruments],
    limits: Limits,
) -> _Possible | None:
    """The searches of budgets of one quantile that have no current result; None if all have one.

    Raises BudgetError if one is impossible.
    """
    pending = _pending(run, named, _all_inputs(run, inputs, limits))
    for name in named:
        if name not in pending:
            print(f"search {name}: up to date")
    if not pending:
        return None
    tasks, instruments = _tasks(run, device_name, pending, inputs, limits), make_instruments()
    budgets = [task.budget for task in tasks]
    quantile = budgets[0].quantile
    reference = run_reference(run, device_name, quantile, inputs, instruments, budgets)
    known = known_latencies(run, device_name, quantile, inputs)
    conversion = find_conversion(reference, known.pairs(reference.full_ms))
    prepared = {task.name: prepare(run.config, task, conversion, reference, instruments) for task in tasks}
    return _Possible(tasks, inputs["super"], instruments, reference, known, prepared)


def _search_all(run: RunDirectory, possible: _Possible) -> None:
    """Do the searches, each Prepared anew where the ones before it taught more about what calls take."""
    reference, known, instruments = possible.reference, possible.known, possible.instruments
    print("\n".join(outlook(run.config.search_space, reference, possible.prepared, run.config.seed)))
    evaluations = open_evaluations(run, possible.super_stamp)
    for task in possible.tasks:
        conversion = kept_conversion(run.search(task.name), task.inputs, reference, known.pairs(reference.full_ms))
        aim = possible.prepared[task.name]
        if conversion != aim.conversion:
            aim = prepare(run.config, task, conversion, reference, instruments)
        known.add(BudgetSearch(run, task, aim, reference, evaluations).run(), instruments.predict)


def open_evaluations(run: RunDirectory, super_stamp: str | None) -> Evaluations:
    """The Evaluations of a run: what was scored with this SuperTransformer."""
    settings = run.config.search
    sentences = [settings.validation_sentences, settings.rungs, run.config.seed]  # what draws and parts them
    key = files.fingerprint([super_stamp, sentences, LOSS_UNIT])
    return Evaluations(run.path / "search" / "evaluations.jsonl", key, len(settings.rungs) + 1)


def _pending(run: RunDirectory, named: Mapping[str, LatencyBudget], inputs: dict[str, Any]) -> dict[str, LatencyBudget]:
    """Those of the named budgets that have no current result."""
    return {
        name: budget
        for name, budget in named.items()
        if not is_current(run.search(name), _search_inputs(inputs, budget))
    }


def _search_inputs(inputs: dict[str, Any], budget: LatencyBudget) -> dict[str, Any]:
    return inputs | {"budget": budget.text, "loss_unit": LOSS_UNIT, "judged_by": JUDGED_BY}


def _tasks(
    run: RunDirectory, device_name: str, named: Mapping[str, LatencyBudget], inputs: dict[str, Any], limits: Limits
) -> list[Task]:
    shared = _all_inputs(run, inputs, limits)
    return [Task(name, device_name, budget, limits, _search_inputs(shared, budget)) for name, budget in named.items()]


def run_reference(
    run: RunDirectory,
    device_name: str,
    quantile: float,
    inputs: dict[str, Any],
    instruments: Instruments,
    budgets: Sequence[LatencyBudget] = (),
    kind: str = "reference",
) -> Reference:
    """The Reference of a quantile of the sentences on a device, kept in the run; BudgetError for impossible budgets."""
    path = run.path / "search" / f"{kind}.{device_name}{quantile_suffix(quantile)}.json"
    fingerprint = files.fingerprint(inputs | search_settings(run))
    return find_reference(
        path, fingerprint, budgets, device_name, run.config.search_space, instruments, run.config.seed
    )


def known_latencies(run: RunDirectory, device_name: str, quantile: float, inputs: dict[str, Any]) -> KnownLatencies:
    """The KnownLatencies of a quantile of the sentences on a device."""
    path = run.latency / f"{device_name}{quantile_suffix(quantile)}{CALLS}.jsonl"
    predicted_by = {name: value for name, value in inputs.items() if name != "super"}
    return KnownLatencies(path, files.fingerprint(predicted_by))


def _all_inputs(run: RunDirectory, inputs: dict[str, Any], limits: Limits) -> dict[str, Any]:
    """What every search of a call depends on, the `inputs` from earlier stages among it."""
    return inputs | search_settings(run) | {"limits": to_mapping(limits)}


def search_settings(run: RunDirectory) -> dict[str, Any]:
    """The config that a search depends on beside the earlier stages."""
    trained = ("sub_training",) if run.config.search.trained_finalists > 1 else ()
    sections = run.sections("seed", "search_space", "latency", "search", *trained)
    sections["search"].pop("latency")  # the budgets themselves
    return sections
