"""hat-inspect: what an architecture or a search space holds and costs."""

import argparse
import json
from collections.abc import Sequence

from hat.cli.common import ArgumentParser, positive_int, run_command
from hat.errors import UsageError

DESCRIPTION = "Print layers, parameters and FLOPs of an architecture, and the size of a search space."
LENGTH = 30


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point of `hat-inspect`."""
    parser = ArgumentParser(DESCRIPTION)
    parser.add_argument(
        "file",
        help="architecture (ours or HAT's YAML), search space or experiment config; with --accounting, a description "
        "such as configs/accounting/micronet.yaml",
    )
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser.add_argument(
        "--vocabulary", type=positive_int, help="entries of the vocabulary (default: the experiment's, else 32768)"
    )
    parser.add_argument("--length", type=positive_int, help=f"source and target tokens for FLOPs (default: {LENGTH})")
    parser.add_argument(
        "--accounting", choices=("micronet",), help="itemise a language model by the rules of the MicroNet challenge"
    )
    run_command(parser, _inspect, arguments)


def _inspect(options: argparse.Namespace) -> None:
    described, table = _account(options) if options.accounting else _describe(options)
    print(json.dumps(described, indent=2) if options.json else table)


def _describe(options: argparse.Namespace) -> tuple[dict, str]:
    from hat.experiment.inspection import inspect_file, render

    described = inspect_file(options.file, options.vocabulary, options.length or LENGTH)
    return described, render(described)


def _account(options: argparse.Namespace) -> tuple[dict, str]:
    from hat.accounting.micronet import micronet_account, render
    from hat.accounting.network import load_network

    for name in ("vocabulary", "length"):
        if getattr(options, name) is not None:
            raise UsageError(f"--{name} has no effect with --accounting: the description has its own; leave it out")
    account = micronet_account(load_network(options.file))
    return account, render(account)


if __name__ == "__main__":
    main()
