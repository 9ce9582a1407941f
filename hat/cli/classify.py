"""hat-classify: text through a classifier's bundle, one text a line."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from hat.cli.common import ArgumentParser, run_command
from hat.cli.line_commands import InputLines, add_bundle_options, show_warnings
from hat.cli.line_files import LineOutput
from hat.errors import DataError

COMMAND = "hat-classify"


def main(arguments: Sequence[str] | None = None, bundle: str | None = None) -> None:
    """Run the command; `bundle` is the default for its BUNDLE."""
    run_command(_parser(bundle), _classify, arguments)


def _parser(bundle: str | None) -> ArgumentParser:
    parser = ArgumentParser("Classify text, one a line: its likeliest label, a tab, the label's probability.")
    add_bundle_options(parser, bundle)
    parser.add_argument("--pairs", action="store_true", help="each line is two texts with a tab between them")
    parser.add_argument("--json", action="store_true", help="a line is a JSON object: label, and all probabilities")
    return parser


def _classify(options: argparse.Namespace) -> None:
    from hat.deploy.classifier import Classifier

    show_warnings(COMMAND)
    lines = InputLines(COMMAND, options.input)
    classifier = Classifier(
        options.bundle, options.threads, options.batch, options.workers, accelerator=options.accelerator
    )
    texts = _pairs(lines) if options.pairs else lines
    with LineOutput(options.output, "results") as output:
        for probabilities in classifier.probabilities_stream(texts, lines.window):
            label = max(probabilities, key=probabilities.get)
            if options.json:
                output.write(json.dumps({"label": label, "probabilities": probabilities}, ensure_ascii=False))
            else:
                output.write(f"{label}\t{probabilities[label]:.4f}")


def _pairs(lines: Iterable[str]) -> Iterator[tuple[str, str]]:
    """(text, text) of each line; raises DataError, naming the line, unless it has one tab."""
    for number, line in enumerate(lines, start=1):
        pair: Any = tuple(line.split("\t"))
        if len(pair) != 2:
            raise DataError(f"line {number} has {len(pair) - 1} tabs; with --pairs each line is two texts and one tab")
        yield pair


if __name__ == "__main__":
    main()
