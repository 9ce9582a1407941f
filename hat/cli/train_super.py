"""hat-train-super [CONFIG]: train the SuperTransformer of a run, preparing its data first if need be."""

import argparse
from collections.abc import Sequence

from hat.cli.common import ArgumentParser, add_run_option, run_command
from hat.training.options import add_training_options, chosen_options, warn_of_update_freq


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point of `hat-train-super`."""
    parser = ArgumentParser(
        "Train the SuperTransformer; interrupted, run the same command again and it goes on. "
        "On several machines: torchrun --nnodes 2 --nproc_per_node N --no-python -- hat-train-super, with the same "
        "arguments on each; the -- keeps --run from torchrun."
    )
    parser.add_argument("config", metavar="CONFIG", nargs="?", help="experiment config: makes or goes on with its run")
    add_run_option(parser)
    parser.add_argument(
        "--from", metavar="DIR", dest="source_directory", help="folder with the corpus's files, read instead of fetched"
    )
    add_training_options(parser)
    run_command(parser, _train_super, arguments)


def _train_super(options: argparse.Namespace) -> None:
    training_options = chosen_options(options)
    from hat.experiment.run_directory import RunDirectory
    from hat.training import machines, processes
    from hat.training.super import train_super

    device = training_options.resolved_device()
    with processes.joined(device):
        if options.config is None:
            run = RunDirectory.open(options.run)
            warn_of_update_freq(run.path / "config.yaml", training_options)
            machines.meet(run.path, run.config, device)
        else:
            path, config = RunDirectory.of_config(options.config, options.run)
            warn_of_update_freq(options.config, training_options)
            machines.meet(path, config, device)
            machines.first_here(lambda: _prepare(options))
            run = RunDirectory.open(path)
        machines.check_same_data(run)
        train_super(run, training_options)


def _prepare(options: argparse.Namespace) -> None:
    from hat.experiment.run_directory import RunDirectory

    run = RunDirectory.create(options.config, options.run)
    run.prepare(options.source_directory)


if __name__ == "__main__":
    main()
