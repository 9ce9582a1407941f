"""hat-inspect: what an architecture or a search space holds and costs."""

import argparse
import json
from collections.abc import Sequence

from hat.cli.common import ArgumentParser, positive_int, run_command

DESCRIPTION = "Print layers, parameters and FLOPs of an architecture, and the size of a search space."


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point of `hat-inspect`."""
    parser = ArgumentParser(DESCRIPTION)
    parser.add_argument("file", help="architecture (ours or HAT's YAML), search space or experiment config")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser.add_argument(
        "--vocabulary", type=positive_int, help="entries of the vocabulary (default: the experiment's, else 32768)"
    )
    parser.add_argument("--length", type=positive_int, default=30, help="source and target tokens for FLOPs")
    run_command(parser, _inspect, arguments)


def _inspect(options: argparse.Namespace) -> None:
    from hat.experiment.inspection import inspect_file, render

    described = inspect_file(options.file, options.vocabulary, options.length)
    print(json.dumps(described, indent=2) if options.json else render(described))


if __name__ == "__main__":
    main()
