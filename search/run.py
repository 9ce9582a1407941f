"""The search stage: from a SuperTransformer, a latency predictor and budgets to one measured winner a budget."""

import functools
import itertools
from collections.abc import Callable
from dataclasses import dataclass

from hat import files
from hat.complexity import ModelSpec
from hat.config import to_mapping
from hat.errors import ArtifactError, UsageError
from hat.run_directory import is_current, mark_done, stamp
from hat.training.options import TrainingOptions
from latency_predictor.devices import load_device
from latency_predictor.lengths import check_quantiles
from latency_predictor.measure import Measurer, measuring_spec
from latency_predictor.sample import predictor_directory, quantile_suffix
from search.candidate import LOSS_UNIT
from search.choice import bound_line, describe_choice, finalists_table, write_choice
from search.constraints import Constraints
from search.contest import hold_contest
from search.evaluations import Evaluations
from search.evolution import Evolution
from search.evolving import evolve
from search.halving import train_finalists
from search.limits import NO_LIMITS
from search.outlook import outlook
from search.reference import find_reference

PLAIN = TrainingOptions()

# A search whose full-size Transformer became faster or slower by this factor meanwhile aimed beside the mark.
DRIFT = 1.25


@dataclass(frozen=True)
class Instruments:
    """What a search asks of the rest.

    `predict`: architectures -> milliseconds; `bound`: the same, which random architectures hardly ever exceed;
    `measure`: architecture -> Timing on the device; `scores`: (architectures, part of the validation sentences)
    -> iterator of (validation loss in nats, summed over target tokens; number of these), in the architectures' order;
    `size_bytes`: architecture -> bytes of its bundle. `spec` and `middle_length` (source length, target steps) are for
    counting parameters and FLOPs; `precision` is that of the bundles. `train`: (architectures, updates) -> validation
    losses in nats per token after so many updates of their own training.
    """

    predict: Callable
    bound: Callable
    measure: Callable
    scores: Callable
    size_bytes: Callable
    spec: ModelSpec
    middle_length: tuple[int, int]
    precision: str = "fp32"
    train: Callable | None = None


def search(run, device_name, budgets, name=None, limits=NO_LIMITS, options=PLAIN):
    """Search for every budget (LatencyBudgets) and return the names of the results, in the budgets' order.

    The winners are within the other Limits, too. Finalists are trained with the TrainingOptions `options`, as their
    final training should be. Results that are up to date stay. Raises ArtifactError naming the stage that has to run
    first, DeviceError for an unknown device, BudgetError before anything is scored if a budget or another limit is
    impossible, or all of them together are.
    """
    device = load_device(device_name)
    named = name_budgets(device.name, budgets, name, limits)
    check_quantiles(run.config.latency, budgets)
    check_supertransformer(run)
    with Measurer(run, device) as measurer:
        searches = []
        for quantile, alike in _by_quantile(named).items():
            make, timing_inputs = instruments_maker(run, device_name, measurer, quantile, options)
            inputs = {"super": stamp(run.super_), **timing_inputs}
            pending = _pending(run, alike, _all_inputs(run, inputs, limits))
            if pending:  # the budgets of every quantile are checked before anything is scored
                _prepare(run, device.name, inputs, pending, make(), limits)
            searches.append((alike, inputs, make))
        for alike, inputs, make in searches:
            search_with(run, device.name, alike, inputs, make, limits)
    return list(named)


def check_supertransformer(run):
    """Raise ArtifactError unless the run has one."""
    if stamp(run.super_) is None:
        raise ArtifactError(f"{run.super_} holds no finished SuperTransformer; run hat-train-super first")


def check_budgets(run, device_name, budgets, limits=NO_LIMITS):
    """Raise BudgetError if a LatencyBudget or another limit is impossible, or all of them together are.

    Needs latency samples, but no SuperTransformer.
    """
    device = load_device(device_name)
    with Measurer(run, device) as measurer:
        for quantile, alike in _by_quantile(name_budgets(device.name, budgets)).items():
            make, timing_inputs = instruments_maker(run, device_name, measurer, quantile)
            _prepare(run, device.name, timing_inputs, alike, make(), limits)


def _by_quantile(named):
    """{quantile: {name: budget}}: budgets about the same quantile of sentences share a predictor and a reference."""
    alike = {}
    for name, budget in named.items():
        alike.setdefault(budget.quantile, {})[name] = budget
    return alike


def name_budgets(device_name, budgets, name=None, limits=NO_LIMITS):
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


def front_name(device_name):
    """Name of the whole front's search on a device."""
    return f"{device_name}-front"


def search_with(run, device_name, named, inputs, make_instruments, limits=NO_LIMITS):
    """`search` of budgets of one quantile, its instruments given: a function, called only if there is work to do."""
    pending = _pending(run, named, _all_inputs(run, inputs, limits))
    for name in named:
        if name not in pending:
            print(f"search {name}: up to date")
    if pending:
        instruments = make_instruments()
        reference, prepared = _prepare(run, device_name, inputs, pending, instruments, limits)
        constraints = {name: each for name, (each, _starters) in prepared.items()}
        print("\n".join(outlook(run.config.search_space, reference, instruments, constraints, run.config.seed)))
        evaluations = open_evaluations(run, inputs["super"])
        for name, budget in pending.items():
            searched = _search_inputs(_all_inputs(run, inputs, limits), budget)
            described = name, device_name, budget, limits
            BudgetSearch(run, *described, searched, reference, prepared[name], instruments, evaluations).run()
    return list(named)


def open_evaluations(run, super_stamp):
    """The Evaluations of a run: what was scored with this SuperTransformer."""
    settings = run.config.search
    sentences = [settings.validation_sentences, settings.rungs, run.config.seed]  # what draws and parts them
    key = files.fingerprint([super_stamp, sentences, LOSS_UNIT])
    return Evaluations(run.path / "search" / "evaluations.jsonl", key, len(settings.rungs) + 1)


def _pending(run, named, inputs):
    """Those of the named budgets that have no current result."""
    return {
        name: budget
        for name, budget in named.items()
        if not is_current(run.search(name), _search_inputs(inputs, budget))
    }


def _search_inputs(inputs, budget):
    return inputs | {"budget": budget.text, "loss_unit": LOSS_UNIT}


def _prepare(run, device_name, inputs, named, instruments, limits):
    """(Reference, {name: (Constraints, starters)}) of budgets of one quantile; BudgetError if one is impossible."""
    reference = _find_reference(run, device_name, inputs | search_settings(run), list(named.values()), instruments)
    prepared, config = {}, run.config
    for name, budget in named.items():
        constraints = Constraints(limits, reference.limit_ms(budget), reference.fastest, instruments)
        starters = constraints.starters(config.search_space, config.seed, budget.text)
        prepared[name] = constraints, starters
    return reference, prepared


def _find_reference(run, device_name, inputs, budgets, instruments):
    timing = {name: value for name, value in inputs.items() if name != "super"}  # weights don't change latencies
    path = _reference_path(run, device_name, budgets[0].quantile)
    space, seed = run.config.search_space, run.config.seed
    return find_reference(path, files.fingerprint(timing), budgets, device_name, space, instruments, seed)


def _reference_path(run, device_name, quantile):
    return run.path / "search" / f"reference.{device_name}{quantile_suffix(quantile)}.json"


def _all_inputs(run, inputs, limits):
    """What every search of a call depends on, the `inputs` from earlier stages among it."""
    return inputs | search_settings(run) | {"limits": to_mapping(limits)}


def search_settings(run):
    """The config that a search depends on beside the earlier stages."""
    trained = ("sub_training",) if run.config.search.trained_finalists > 1 else ()
    sections = run.sections("seed", "search_space", "latency", "search", *trained)
    sections["search"].pop("latency")  # the budgets themselves
    return sections


class BudgetSearch:
    """The search for one budget: evolve, choose by measuring, write."""

    def __init__(self, run, name, device_name, budget, limits, inputs, reference, prepared, instruments, evaluations):
        self._run, self._name, self._device_name, self._budget, self._limits = run, name, device_name, budget, limits
        self._inputs, self._reference, (self._constraints, self._starters) = inputs, reference, prepared
        self._instruments, self._evaluations = instruments, evaluations
        self._directory = run.search(name)

    def run(self):
        """Do the whole search, from where an interrupted one stopped, and report on standard output."""
        config, budget, instruments = self._run.config, self._budget, self._instruments
        limit_ms = self._reference.limit_ms(budget)
        evolution = self._evolve(limit_ms)
        print(f"search {self._name}: timing the best of {len(evolution.candidates)} candidates on {self._device_name}")
        scored = self._evaluations.candidates(instruments.predict)
        allowed = self._constraints.allow([candidate.architecture for candidate in scored])
        judged = list(itertools.compress(scored, allowed)), limit_ms, instruments, self._inputs
        winner, finalists, losses = hold_contest(self._run, self._directory, budget, *judged)
        described = self._name, self._device_name, budget, self._limits
        choice = describe_choice(*described, winner, instruments, config.search_space)
        found = winner, finalists, losses, evolution.candidates, scored, evolution.history
        write_choice(self._directory, choice, *found)
        mark_done(self._directory, self._inputs)
        self._report(finalists, winner, losses)

    def _evolve(self, limit_ms):
        config, path = self._run.config, self._directory / "state.json"
        evolution = Evolution(
            config.search_space,
            config.search,
            self._instruments.predict,
            self._constraints.allow,
            config.seed,
            self._starters,
        )
        fingerprint, scores = files.fingerprint([self._inputs, limit_ms]), self._instruments.scores
        evolve(evolution, f"search {self._name}", path, fingerprint, self._evaluations, scores, config.search.parents)
        return evolution

    def _report(self, finalists, winner, losses):
        print(f"\nSearch {self._name}: finalists, best loss first, * chosen")
        print("\n".join(finalists_table(finalists, winner, losses, self._instruments.spec)))
        print(bound_line(finalists, self._instruments.bound))
        self._warn_of_drift(winner)
        print(
            f"full-size Transformer {winner.full.typical:.2f} ms, chosen {winner.timing.typical:.2f} ms "
            f"({winner.full.typical / winner.timing.typical:.2f} times faster)\n"
            f"results: {self._directory} (architecture.yaml, choice.json, front.png)\n"
            f"next: hat-train-sub {self._name}"
        )

    def _warn_of_drift(self, winner):
        before_ms, now_ms = self._reference.full_ms, winner.full.typical
        if not 1 / DRIFT < now_ms / before_ms < DRIFT:
            print(
                f"warning: the full-size Transformer took {before_ms:.2f} ms when the search began and {now_ms:.2f} ms "
                f"at its end: the machine is busy; when it is quiet, remove {self._directory} and "
                f"{_reference_path(self._run, self._device_name, self._budget.quantile)} and search again"
            )


def instruments_maker(run, device_name, measurer, quantile, options=PLAIN):
    """(function that makes the Instruments, what latencies depend on, for fingerprints)."""
    from latency_predictor.fit import load_or_fit

    predictor = load_or_fit(run, device_name, quantile)
    inputs = {
        "device": to_mapping(measurer.device),
        "predictor": stamp(predictor_directory(run, measurer.device, quantile)),
    }
    return functools.partial(_make_instruments, run, measurer, predictor, quantile, options), inputs


def _make_instruments(run, measurer, predictor, quantile, options):
    # loaded when the first candidate needs it
    scorer = functools.cache(lambda: _load_scorer(run))
    size_bytes = functools.cache(lambda: _load_size(run, measurer.device.precision))
    return Instruments(
        predict=predictor.predict,
        bound=predictor.upper,
        measure=lambda architecture: measurer.measure_paced(architecture).timing(measurer.lengths, quantile),
        scores=lambda architectures, part: _spread(run, scorer(), architectures, part),
        size_bytes=lambda architecture: size_bytes()(architecture),
        spec=measuring_spec(run),
        middle_length=measurer.lengths.middle,
        train=functools.partial(train_finalists, run, options),
        precision=measurer.device.precision,
    )


def _load_size(run, precision):
    from hat.bundle_size import BundleSize

    return BundleSize(run, precision)


def _load_scorer(run):
    from search.scorer import load_scorer

    return load_scorer(run)


def _spread(run, scorer, architectures, part):
    from search.ranks import spread

    return spread(run, scorer, architectures, part)
