"""hat-compress NAME: prune a trained network, or train it to do with 4-bit weights."""

import argparse
import contextlib
import json
import math
import statistics
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hat.cli.common import ArgumentParser, add_precision_option, add_run_option, device_at, positive_int, run_command
from hat.training.options import add_computing_options, add_processes_option, chosen_options

if TYPE_CHECKING:
    from hat.compression.dense import Dense, Plan
    from hat.deploy.building.block_costs import DeviceCosts
    from hat.experiment.run_directory import RunDirectory
    from hat.experiment.sections import Experiment
    from hat.training.options import TrainingOptions
    from latency_predictor.budget import LatencyBudget
    from latency_predictor.link.devices import Device

DEVICE = "cpu"  # without --device
MOST_BITS = 16
FOUR_BITS = ("int4", "kmeans4")  # precisions
# Rounds of calls of the dense and of the pruned network, in turns: until the standard error is within PRECISE.
ROUNDS, MOST_ROUNDS, PRECISE = 3, 24, 0.01
CONFIRMATIONS = 4  # of a rate that was found among several: it may have been lucky


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point of `hat-compress`."""
    parser = ArgumentParser(
        "Prune a trained network and train what is left, or train it for weights of few bits; interrupted, run the "
        "same command again and it goes on."
    )
    parser.add_argument("dense", metavar="NAME", help="finished training of the run: of a search's winner, or 'full'")
    target = parser.add_mutually_exclusive_group(required=True)
    target.add_argument("--rate", type=float, metavar="R", help="2.5 keeps 1/2.5 of the weights of all layers")
    target.add_argument("--size", help="6MB or 900kB: the bundle, all files together, takes no more")
    target.add_argument(
        "--latency", metavar="BUDGET", help="5ms, 50%% of the latency of NAME, or 5ms@p90, as for hat-search"
    )
    target.add_argument(
        "--weights", choices=FOUR_BITS, help="keep all weights, but make them such as bundles of that kind store"
    )
    target.add_argument(
        "--bits", type=positive_int, metavar="N", help="of a language model's weights and states: train it for 9 or so"
    )
    target.add_argument("--plan", help=argparse.SUPPRESS)  # one that was found before, for several processes
    parser.add_argument(
        "--name", help="name of the result (default: NAME-2.5x, NAME-900kB, NAME-50pct, NAME-int4, NAME-9bit...)"
    )
    parser.add_argument(
        "--device",
        metavar="D",
        help="whose latency counts, as for hat-search, and whose measured blocks do where the config removes columns "
        "(default: cpu)",
    )
    add_precision_option(parser, help_more=", or whose size does")
    add_run_option(parser)
    add_computing_options(parser)
    add_processes_option(parser)
    run_command(parser, _compress, arguments)


def _compress(options: argparse.Namespace) -> None:
    training_options = chosen_options(options)
    import torch

    from hat.compression.dense import Dense, Plan
    from hat.compression.page import write_page
    from hat.compression.stage import compress, learn_rounded
    from hat.config import from_mapping
    from hat.experiment.run_directory import RunDirectory
    from hat.training import processes

    run = RunDirectory.open(options.run)
    if options.plan is not None:
        plan = from_mapping(Plan, json.loads(options.plan), "--plan")
        compress(Dense.planned(run, options.dense, plan), plan.aim, options.name, training_options)
        return
    if training_options.threads:
        torch.set_num_threads(training_options.threads)  # also for what is measured before the training
    structure, pruning = run.config.compressing.structure, options.weights is None and options.bits is None
    _check_options(options, run.config)
    costs = _measured_costs(run, options) if structure == "columns" and pruning else None
    dense = Dense(run, options.dense, costs=costs)
    if options.bits is None:
        _, asked = _target(options)
        dense.check_bits(asked)
    if dense.earlier_rate > 1 and pruning:
        print(f"{dense.name} was pruned before, by {dense.earlier_rate:.3g}: rates multiply")
    if options.weights is not None:
        learn_rounded(dense, options.weights, options.name or f"{dense.name}-{options.weights}", training_options)
    elif options.bits is not None:
        _to_bits(dense, options, training_options)
    elif options.rate is not None:
        _to_rate(dense, options, training_options)
    elif options.size is not None:
        _to_size(dense, options, training_options)
    else:
        _to_latency(dense, options, training_options)
    if processes.world_size() == 1:  # else what started these writes it
        print(f"all compressed networks: {write_page(dense.run)}")


def _target(options: argparse.Namespace) -> tuple[str, str]:
    """What is aimed at: (name of the option, the option as it was given)."""
    targets = ("size", "latency", "weights", "bits", "rate")
    (target,) = (name for name in targets if getattr(options, name) is not None)
    value = getattr(options, target)
    return target, f"--{target} {value:g}" if target == "rate" else f"--{target} {value}"


def _check_options(options: argparse.Namespace, config: "Experiment") -> None:
    """Raise UsageError for an option that says nothing, or that makes no sense for what the config removes."""
    from hat.errors import UsageError

    structure = config.compressing.structure
    target, asked = _target(options)
    if structure == "weights" and target in ("size", "latency", "weights"):
        raise UsageError(
            f"{asked}: zeros of single weights, which compression.structure removes here, make no bundle smaller or "
            "faster; set that to 'whole', or use --rate or --bits"
        )
    given = [name for name in ("device", "precision") if getattr(options, name) is not None]
    if target in ("weights", "bits") and given:
        raise UsageError(
            f"--{given[0]}: says nothing beside --{target}, which are the same on all devices; leave it out"
        )
    idle = [name for name in given if name == "device" or target == "rate"]
    if idle and target != "latency" and structure != "columns":
        instead = (
            ", or set that to 'columns', whose blocks a device decides on"
            if "columns" in config.compressing.structures
            else ""
        )
        raise UsageError(
            f"--{idle[0]}: says nothing without --latency where compression.structure is {structure!r}; leave it "
            f"out{instead}"
        )


def _measured_costs(run: "RunDirectory", options: argparse.Namespace) -> "DeviceCosts | None":
    """What was measured of blocks on the device, None if nothing was."""
    from latency_predictor.sampling.block_products import read_block_costs

    device = _device(options)
    costs = read_block_costs(run, device)
    if costs.device:
        return costs
    print(
        f"blocks were never measured on {device.name}: what is known of an x86 server counts; to measure them first, "
        f"run hat-measure-latency --blocks --device {options.device or DEVICE}"
    )
    return None


def _device(options: argparse.Namespace) -> "Device":
    from latency_predictor.link.devices import load_device

    return load_device(device_at(options.device or DEVICE, options.precision))


def _in_blocks(dense: "Dense", options: argparse.Namespace, share: float) -> "Dense":
    """`dense` with blocks of the height that pays on the device if about this share of what is there is to be left.

    Where blocks were never measured there, of the height that pays on an x86 server.
    """
    from hat.compression.block_height import best_height
    from hat.compression.dense import Dense

    config = dense.run.config.compressing
    if config.structure != "columns" or config.block_rows is not None:
        return dense
    left, precision = min(1.0, share) / dense.earlier_rate, _device(options).precision
    rows, time = best_height(dense.shapes, left, dense.costs.at(precision))
    print(
        f"blocks of {rows} rows: with {left:.0%} of the columns left, {precision} products take about {time:.0%} of "
        f"the whole ones' time on {dense.costs.device or 'an x86 server'}"
    )
    return Dense(dense.run, dense.name, rows, dense.costs)


def _to_rate(dense: "Dense", options: argparse.Namespace, training: "TrainingOptions") -> None:
    from hat.compression.stage import compress

    name = options.name or f"{dense.name}-{options.rate:g}x"
    if not dense.is_sparse:
        if options.rate > 1:  # else it is refused
            dense = _in_blocks(dense, options, 1 / options.rate)
        compress(dense, dense.at_rate(options.rate), name, training)
        return
    plan = _kept(dense, name, [options.rate], lambda: dense.sparse_plan(options.rate, dense.run.sub(name)))
    compress(dense, plan.aim, name, training)
    print("zeros of single weights make no bundle smaller or faster: see hat-inspect --accounting micronet")


def _to_bits(dense: "Dense", options: argparse.Namespace, training: "TrainingOptions") -> None:
    from hat.compression.stage import learn_few_bits
    from hat.errors import UsageError
    from hat.models.language_model_spec import LanguageModelSpec

    if not isinstance(dense.model.spec, LanguageModelSpec):
        raise UsageError(f"--bits {options.bits}: is for language models; use --weights int4 or kmeans4")
    if options.bits not in range(2, MOST_BITS + 1):
        raise UsageError(f"--bits {options.bits}: is not between 2 and {MOST_BITS}; use 9 or so")
    learn_few_bits(dense, options.bits, options.name or f"{dense.name}-{options.bits}bit", training)


def _to_size(dense: "Dense", options: argparse.Namespace, training: "TrainingOptions") -> None:
    from hat.compression.budget import rate_within
    from hat.compression.dense import Dense
    from hat.compression.stage import compress
    from hat.deploy.bundle import open_bundle
    from search.limits import parse_size, size_text

    most, precision = parse_size(options.size, "--size"), options.precision or "fp32"
    name = options.name or f"{dense.name}-{size_text(most)}"
    exported_bytes = dense.run.task.bundle_size(dense.run, precision)(dense.model.architecture)
    with _trials(dense, precision) as write:
        dense_bytes = open_bundle(write(None)).size_bytes

        def find_plan() -> "Plan":
            blocked = _in_blocks(dense, options, most / exported_bytes)

            def size_at(rate: float) -> float:
                return exported_bytes - dense_bytes + open_bundle(write(rate, blocked)).size_bytes

            rate = rate_within(blocked, size_at, most, lambda size: size_text(int(size)))
            print(f"rate {rate:.3g} meets {size_text(most)}")
            return blocked.plan(rate)

        plan = _kept(dense, name, [most, precision], find_plan)
    compress(Dense.planned(dense.run, dense.name, plan), plan.aim, name, training)


def _to_latency(dense: "Dense", options: argparse.Namespace, training: "TrainingOptions") -> None:
    from hat.compression.budget import rate_within
    from hat.compression.dense import Dense
    from hat.compression.stage import compress
    from hat.errors import BudgetError
    from latency_predictor.budget import parse_budget
    from search.aim import HEADROOM

    budget = parse_budget(options.latency)
    device = _device(options)
    name = options.name or f"{dense.name}-{device.name}-{budget.slug()}"
    most = HEADROOM * budget.resolve(1.0)
    with _trials(dense, device.precision) as write, _taken(dense, device, budget, write(None)) as taken:

        def text(value: float) -> str:
            return f"{value:.3g} ms" if budget.fraction is None else f"{value:.1%} of {dense.name}'s latency"

        def find_plan() -> "Plan":
            share = most if budget.fraction is not None else most / taken(write(None))
            blocked = _in_blocks(dense, options, share)
            rate = rate_within(blocked, lambda rate: taken(write(rate, blocked)), most, text)
            for _ in range(CONFIRMATIONS):
                found = taken(write(rate, blocked))
                if found <= most:
                    break
                rate = min(rate * found / most, blocked.highest_rate)
            print(f"rate {rate:.3g} meets {budget.text}")
            return blocked.plan(rate)

        plan = _kept(dense, name, [budget.text, device.name], find_plan)
        compress(Dense.planned(dense.run, dense.name, plan), plan.aim, name, training)
        found = taken(write(name))
    print(f"{name} takes {text(found)} on {device.name}, measured; asked: {budget.text}")
    if found > budget.resolve(1.0):
        raise BudgetError(f"{name} takes {text(found)}, above {budget.text}; is the machine busy? Else ask for less")


@contextlib.contextmanager
def _trials(dense: "Dense", precision: str) -> Iterator[Callable[..., Path]]:
    """A function that writes a bundle: of the dense network (None), of a result by its name, or at a rate.

    At a rate it takes the Dense, too, whose blocks are to be removed.
    """
    from hat.models.checkpoint import load_model

    with tempfile.TemporaryDirectory(prefix="hat-trial-") as folder:

        def write(which: float | str | None, blocked: "Dense" = dense) -> Path:
            bundle = Path(folder) / str(which)
            if bundle.exists():
                return bundle
            if which is None:
                model: Any = dense.model
            elif isinstance(which, str):
                model = load_model(dense.run.sub(which))
            else:
                model = blocked.pruned(blocked.shaped(which))
            dense.run.task.write_trial_bundle(dense.run, model, precision, bundle, dense.costs)
            return bundle

        yield write


@contextlib.contextmanager
def _taken(
    dense: "Dense", device: "Device", budget: "LatencyBudget", dense_bundle: Path
) -> Iterator[Callable[[Path], float]]:
    """A function from a bundle to its latency, in milliseconds or, for a share, over that of the dense network."""
    from latency_predictor.sampling.real_calls import RealCalls, check_sentences

    check_sentences(dense.run, [budget])
    with RealCalls(dense.run, device, budget.quantile) as real_calls:

        def taken(bundle: Path) -> float:
            found: list[float] = []
            while len(found) < ROUNDS or (len(found) < MOST_ROUNDS and _standard_error(found) > PRECISE):
                full, pruned = (calls.latency(budget.quantile).ms for calls in real_calls.time([dense_bundle, bundle]))
                found.append(pruned if budget.fraction is None else pruned / full)
            return statistics.median(found)

        yield taken


def _standard_error(values: list[float]) -> float:
    """Of their mean, as a share of it."""
    return statistics.stdev(values) / math.sqrt(len(values)) / statistics.mean(values)


def _kept(dense: "Dense", name: str, asked: list[Any], find_plan: Callable[[], "Plan"]) -> "Plan":
    """The Plan that was found, kept in the result's folder, so that it is the same when run again."""
    from hat import files
    from hat.compression.dense import Plan
    from hat.config import from_mapping, to_mapping
    from search.state import load_state, save_state

    dense.check_result(name)  # before anything is kept there
    path = dense.run.sub(name) / "plan.json"
    weights = files.sha256_of_file(dense.run.sub(dense.name) / "model.safetensors")
    fingerprint = files.fingerprint([asked, weights, to_mapping(dense.config), to_mapping(dense.costs)])
    kept = load_state(path, fingerprint)
    if kept is not None:
        return from_mapping(Plan, kept, str(path))
    plan = find_plan()
    save_state(path, fingerprint, to_mapping(plan))
    return plan


if __name__ == "__main__":
    main()
