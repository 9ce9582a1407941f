"""hat-inspect: what an architecture or a search space holds and costs."""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from hat.cli.common import ArgumentParser, add_run_option, positive_int, run_command
from hat.errors import UsageError

if TYPE_CHECKING:
    from hat.accounting.network import AccountedNetwork

DESCRIPTION = "Print layers, parameters and FLOPs of an architecture, and the size of a search space."
LENGTH = 30
DESCRIPTIONS = (".yaml", ".yml", ".json")


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point of `hat-inspect`."""
    parser = ArgumentParser(DESCRIPTION)
    parser.add_argument(
        "file",
        help="architecture (ours or HAT's YAML), search space or experiment config; with --accounting, a trained "
        "network of a run, or a description such as configs/accounting/micronet.yaml",
    )
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser.add_argument(
        "--vocabulary", type=positive_int, help="entries of the vocabulary (default: the experiment's, else 32768)"
    )
    parser.add_argument("--length", type=positive_int, help=f"source and target tokens for FLOPs (default: {LENGTH})")
    parser.add_argument(
        "--accounting", choices=("micronet",), help="itemise a language model by the rules of the MicroNet challenge"
    )
    parser.add_argument(
        "--against", metavar="NAME", help="with --accounting: another, such as full, whose shares are shown"
    )
    add_run_option(parser)
    run_command(parser, _inspect, arguments)


def _inspect(options: argparse.Namespace) -> None:
    if options.accounting is None and options.against is not None:
        raise UsageError(f"--against {options.against} has no effect without --accounting")
    described, table = _account(options) if options.accounting else _describe(options)
    print(json.dumps(described, indent=2) if options.json else table)


def _describe(options: argparse.Namespace) -> tuple[dict, str]:
    from hat.experiment.inspection import inspect_file, render

    described = inspect_file(options.file, options.vocabulary, options.length or LENGTH)
    return described, render(described)


def _account(options: argparse.Namespace) -> tuple[dict, str]:
    from hat.accounting.micronet import compare, micronet_account, render, render_comparison

    for name in ("vocabulary", "length"):
        if getattr(options, name) is not None:
            raise UsageError(f"--{name} has no effect with --accounting: the description has its own; leave it out")
    account = micronet_account(_network(options.file, options.run))
    if options.against is None:
        return account, render(account)
    against = compare(account, micronet_account(_network(options.against, options.run)), options.against)
    return account | {"against": against}, f"{render(account)}\n{render_comparison(against)}"


def _network(name: str, run: str | None) -> "AccountedNetwork":
    """What a file of that path describes, else what a run trained."""
    from hat.accounting.network import load_network
    from hat.experiment.run_directory import RunDirectory

    if Path(name).suffix in DESCRIPTIONS or Path(name).is_file():
        return load_network(name)
    from hat.accounting.trained import trained_network

    return trained_network(RunDirectory.open(run), name)


if __name__ == "__main__":
    main()
