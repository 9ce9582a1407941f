"""hat-train-sub [NAME]: train the winner of a search, or any architecture, as a model of its own."""

import argparse
from collections.abc import Sequence

from hat.cli.common import ArgumentParser, add_run_option, run_command
from hat.training.options import add_training_options, chosen_options, warn_of_update_freq


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point of `hat-train-sub`."""
    parser = ArgumentParser("Train a SubTransformer; interrupted, run the same command again and it goes on.")
    parser.add_argument("search", metavar="NAME", nargs="?", help="finished search (default: the only one)")
    parser.add_argument("--architecture", metavar="FILE", help="architecture YAML instead, or 'full' for the full size")
    parser.add_argument("--name", help="name of the result (default: that of the search, or 'full')")
    parser.add_argument("--init", choices=("scratch", "inherit"), help="initial weights (default: the config's)")
    add_run_option(parser)
    add_training_options(parser)
    run_command(parser, _train_sub, arguments)


def _train_sub(options: argparse.Namespace) -> None:
    training_options = chosen_options(options)
    from hat.experiment.run_directory import RunDirectory
    from hat.training import machines, processes
    from hat.training.sub import choose_architecture, train_sub

    device = training_options.resolved_device()
    with processes.joined(device):
        run = RunDirectory.open(options.run)
        warn_of_update_freq(run.path / "config.yaml", training_options)
        machines.meet(run.path, run.config, device)
        machines.check_same_data(run)
        chosen = options.search, options.architecture, options.name
        name, architecture = processes.from_first(lambda: choose_architecture(run, *chosen))
        train_sub(run, name, architecture, training_options)


if __name__ == "__main__":
    main()
