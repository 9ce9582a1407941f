"""hat-search: find the best SubTransformer for each latency budget."""

import argparse
from collections.abc import Sequence

from hat.cli.common import (
    ArgumentParser,
    add_latency_option,
    add_limit_options,
    add_precision_option,
    add_run_option,
    device_at,
    run_command,
)
from hat.training.options import add_computing_options, chosen_options


def main(arguments: Sequence[str] | None = None) -> None:
    parser = ArgumentParser(
        "Find the SubTransformer of lowest validation loss that meets a latency budget on a device. "
        "To score candidates in N processes: torchrun --nproc_per_node N --no-python -- hat-search, with the same "
        "arguments; the first process measures."
    )
    add_latency_option(parser)
    add_limit_options(parser)
    add_precision_option(parser, ["any"], "; any: search both, and take the winner of lower loss")
    parser.add_argument(
        "--front", action="store_true", help="find the whole front of latency and loss, before any budget is named"
    )
    parser.add_argument("--device", metavar="NAME", help="device (default: the one last measured in this run, or cpu)")
    parser.add_argument(
        "--name", help="name of the result, for one budget (default: DEVICE-BUDGET and the other limits)"
    )
    add_run_option(parser)
    add_computing_options(parser.add_argument_group("how finalists are trained, and hat-train-sub should be told, too"))
    run_command(parser, _search, arguments)


def _search(options: argparse.Namespace) -> None:
    from hat.training import processes
    from search.ranks import follow, leading

    with processes.joined("cpu"):  # for GPUs too: only losses travel
        if processes.is_first():
            with leading():
                _lead(options)
        else:
            from hat.experiment.run_directory import RunDirectory
            from search.scorer import load_scorer

            follow(RunDirectory.open(options.run), load_scorer)


def _lead(options: argparse.Namespace) -> None:
    from hat.errors import UsageError
    from hat.experiment.run_directory import RunDirectory
    from latency_predictor.budget import parse_budget
    from search.limits import parse_limits
    from search.precisions import ANY, search_precisions
    from search.run import search

    limits = parse_limits(options.max_parameters, options.max_size)
    if options.front:
        return _search_front(options)
    budgets = [parse_budget(text) for text in options.latency or ()]
    run = RunDirectory.open(options.run)
    budgets = budgets or [parse_budget(text) for text in run.config.search.latency]
    if not budgets:
        raise UsageError("no latency budget; write for example --latency 200ms or --latency 50%")
    device, find = options.device or run.last_measured_device(), search
    if options.precision == ANY:
        find = search_precisions
    else:
        device = device_at(device, options.precision)
    find(run, device, budgets, options.name, limits, chosen_options(options))


def _search_front(options: argparse.Namespace) -> None:
    from hat.errors import UsageError
    from hat.experiment.run_directory import RunDirectory
    from search.front import search_front
    from search.precisions import ANY

    for name in ("latency", "max-parameters", "max-size", "name"):
        if getattr(options, name.replace("-", "_")) is not None:
            raise UsageError(f"--front is for all budgets at once: leave out --{name}, or search without --front")
    if options.precision == ANY:
        raise UsageError("--front is about one precision; write --precision fp32 or --precision int8")
    run = RunDirectory.open(options.run)
    search_front(run, device_at(options.device or run.last_measured_device(), options.precision))


if __name__ == "__main__":
    main()
