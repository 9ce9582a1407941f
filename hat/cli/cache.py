"""hat-cache NAME: give a trained language model a neural cache, without training."""

import argparse
from collections.abc import Sequence

from hat.cli.common import ArgumentParser, add_run_option, positive_int, run_command

STATES = 1000


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point of `hat-cache`."""
    parser = ArgumentParser(
        "Give a trained language model a neural cache: words that followed similar states become more probable. Its "
        "two parameters are searched for on the validation text; nothing is trained."
    )
    parser.add_argument("network", metavar="NAME", help="finished training of the run, with or without a cache")
    parser.add_argument("--states", type=positive_int, default=STATES, help=f"it looks at (default: {STATES})")
    parser.add_argument("--name", help="name of the result (default: NAME-cache)")
    add_run_option(parser)
    run_command(parser, _cache, arguments)


def _cache(options: argparse.Namespace) -> None:
    from hat.evaluation.language_modeling.cached import give_cache
    from hat.experiment.run_directory import RunDirectory

    run = RunDirectory.open(options.run)
    give_cache(run, options.network, options.states, options.name or f"{options.network}-cache")


if __name__ == "__main__":
    main()
