"""hat-translate: text through a bundle, one sentence a line."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING

from hat.cli.common import ArgumentParser, positive_int, run_command
from hat.cli.line_commands import InputLines, add_bundle_options, show_warnings
from hat.cli.line_files import LineOutput, decoded_lines, open_lines

if TYPE_CHECKING:
    from hat.deploy.translator import Translator

COMMAND = "hat-translate"
NBEST_HELP = "print N lines a sentence, best first: its line number, a tab, the score, a tab, the translation"
# Options of the search: name, type, metavar, help. Without them the bundle's values hold.
SEARCH_OPTIONS = (
    ("beam", int, "N", "hypotheses a sentence"),
    ("lenpen", float, "X", "length penalty: scores are divided by length ** X"),
    ("min-len", int, "N", "tokens of a translation at least"),
    ("max-len-a", float, "X", "at most X * source tokens + --max-len-b tokens"),
    ("max-len-b", int, "N", "see --max-len-a"),
    ("no-repeat-ngram", int, "N", "no N tokens in a row come twice in a translation (0: they may)"),
    ("unk-penalty", float, "X", "subtracted from the log-probability of the unknown word"),
)


def main(arguments: Sequence[str] | None = None, bundle: str | None = None) -> None:
    """Run the command; `bundle` is the default for its BUNDLE."""
    run_command(_parser(bundle), _translate, arguments)


def _parser(bundle: str | None) -> ArgumentParser:
    parser = ArgumentParser("Translate text, one sentence a line; a translation is always one line.")
    add_bundle_options(parser, bundle)
    parser.add_argument("--nbest", type=positive_int, metavar="N", help=NBEST_HELP)
    parser.add_argument("--prefix", metavar="FILE", help="what each translation must begin with, one line a sentence")
    parser.add_argument("--shortlist", action="store_true", help="only words that the bundle's shortlist has for these")
    for name, kind, metavar, text in SEARCH_OPTIONS:
        parser.add_argument(f"--{name}", type=kind, metavar=metavar, help=f"{text} (default: the bundle's)")
    return parser


def _translate(options: argparse.Namespace) -> None:
    show_warnings(COMMAND)
    lines = InputLines(COMMAND, options.input)
    prefixes = decoded_lines(open_lines(options.prefix), options.prefix) if options.prefix else None
    translator = _translator(options)
    translations = translator.stream_nbest(lines, options.nbest or 1, prefixes, lines.window)
    with LineOutput(options.output) as output:
        for number, nbest in enumerate(translations, start=1):
            for text, score in nbest:
                output.write(f"{number}\t{score:.4f}\t{text}" if options.nbest else text)


def _translator(options: argparse.Namespace) -> Translator:
    from hat.deploy.translator import Translator

    names = [name.replace("-", "_") for name, *_ in SEARCH_OPTIONS]
    search_options = {name: getattr(options, name) for name in names}
    return Translator(
        options.bundle,
        options.threads,
        batch_tokens=options.batch,
        workers=options.workers,
        shortlist=options.shortlist,
        accelerator=options.accelerator,
        **search_options,
    )


if __name__ == "__main__":
    main()
