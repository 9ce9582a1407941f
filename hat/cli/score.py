"""hat-score: how probable a language model's bundle finds a text, line by line."""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Sequence

from hat.cli.common import ArgumentParser, positive_int, run_command
from hat.cli.line_commands import InputLines, add_bundle
from hat.cli.line_files import LineOutput

COMMAND = "hat-score"


def main(arguments: Sequence[str] | None = None, bundle: str | None = None) -> None:
    """Entry point of `hat-score`; `bundle` is the default for its BUNDLE."""
    parser = ArgumentParser(
        "Score running text, each line after those before it: its log-probability in nats, a tab, its perplexity, a "
        "tab, how many of its words are unknown. The perplexity of the whole text goes to standard error."
    )
    add_bundle(parser, bundle)
    parser.add_argument("--input", metavar="FILE", help="text to read (default: standard input)")
    parser.add_argument("--output", metavar="FILE", help="replaced when all is written (default: standard output)")
    parser.add_argument("--json", action="store_true", help="a line is a JSON object, with the number of words too")
    parser.add_argument("--threads", type=positive_int, default=1, metavar="N", help="processor threads")
    run_command(parser, _score, arguments)


def _score(options: argparse.Namespace) -> None:
    from hat.deploy.language_model import LanguageModel

    model, nats, words, unknown = LanguageModel(options.bundle, options.threads), 0.0, 0, 0
    with LineOutput(options.output, "scores") as output:
        for line in model.score_stream(InputLines(COMMAND, options.input)):
            found = {**line._asdict(), "perplexity": line.perplexity}
            columns = f"{line.log_probability:.4f}\t{line.perplexity:.2f}\t{line.unknown}"
            output.write(json.dumps(found) if options.json else columns)
            nats, words, unknown = nats + line.log_probability, words + line.words, unknown + line.unknown
    if words:
        text = f"{words} words and ends of lines, {unknown} of them unknown"
        print(f"{COMMAND}: perplexity {math.exp(-nats / words):.2f} of {text}", file=sys.stderr)


if __name__ == "__main__":
    main()
