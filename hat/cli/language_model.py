"""hat-generate and hat-score as the one file in a language model's bundle: `language_model.py generate` or `score`."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from hat.cli import generate, score
from hat.cli.common import ArgumentParser

COMMANDS = {"generate": generate.main, "score": score.main}


def main(arguments: Sequence[str] | None = None, bundle: str | None = None) -> None:
    """Run one of COMMANDS; `bundle` is the default for its BUNDLE."""
    parser = ArgumentParser("Write text, or score what comes from standard input, with a language model's bundle.")
    parser.add_argument("command", choices=tuple(COMMANDS), help="what to do; COMMAND --help shows its options")
    parser.add_argument("options", nargs=argparse.REMAINDER, metavar="...", help="of the command")
    options = parser.parse_args(arguments)
    COMMANDS[options.command](options.options, bundle)


if __name__ == "__main__":
    main()
