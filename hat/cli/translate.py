"""hat-translate: text through a bundle, one sentence a line."""

import os
import sys
import time
import warnings

from hat.cli.common import ArgumentParser, positive_int, run_command
from hat.cli.line_files import LineOutput, decoded_lines, open_lines

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


def main(arguments=None, bundle=None):
    """Run the command; `bundle` is the default for its BUNDLE."""
    run_command(_parser(bundle), _translate, arguments)


def _parser(bundle):
    parser = ArgumentParser("Translate text, one sentence a line; a translation is always one line.")
    default = {"nargs": "?", "default": bundle} if bundle else {}
    parser.add_argument("bundle", metavar="BUNDLE", help="folder that hat-export wrote", **default)
    parser.add_argument("--input", metavar="FILE", help="text to translate (default: standard input)")
    parser.add_argument("--output", metavar="FILE", help="replaced when all is translated (default: standard output)")
    parser.add_argument("--threads", type=positive_int, default=1, metavar="N", help="processor threads a worker")
    parser.add_argument("--workers", type=positive_int, default=1, metavar="N", help="searches at once, over cores")
    parser.add_argument("--batch", type=positive_int, default=1000, metavar="N", help="source tokens in one batch")
    parser.add_argument("--nbest", type=positive_int, metavar="N", help=NBEST_HELP)
    parser.add_argument("--prefix", metavar="FILE", help="what each translation must begin with, one line a sentence")
    parser.add_argument("--shortlist", action="store_true", help="only words that the bundle's shortlist has for these")
    parser.add_argument("--accelerator", choices=("cpu", "cuda"), default="cpu", help="cuda needs onnxruntime-gpu")
    for name, kind, metavar, text in SEARCH_OPTIONS:
        parser.add_argument(f"--{name}", type=kind, metavar=metavar, help=f"{text} (default: the bundle's)")
    return parser


def _translate(options):
    warnings.simplefilter("always", UserWarning)
    warnings.showwarning = _show_warning
    stream = open_lines(options.input)
    prefixes = decoded_lines(open_lines(options.prefix), options.prefix) if options.prefix else None
    translator = _translator(options)
    window = 1 if stream.isatty() else None
    lines = _Progress(stream).watch(decoded_lines(stream, options.input or "standard input"))
    translations = translator.stream_nbest(lines, options.nbest or 1, prefixes, window)
    with LineOutput(options.output) as output:
        for number, nbest in enumerate(translations, start=1):
            for text, score in nbest:
                output.write(f"{number}\t{score:.4f}\t{text}" if options.nbest else text)


def _translator(options):
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


class _Progress:
    """Says on a terminal how much of an input file has been read; nothing for pipes, whose size is unknown."""

    def __init__(self, stream):
        file = os.fstat(stream.fileno())
        self._size = file.st_size if sys.stderr.isatty() and not sys.stdout.isatty() else 0
        self._stream, self._shown = stream, time.monotonic()

    def watch(self, lines):
        for number, line in enumerate(lines, start=1):
            if self._size and time.monotonic() - self._shown > 1:
                self._shown = time.monotonic()
                print(f"hat-translate: {number} lines, {self._stream.tell() / self._size:.0%} read", file=sys.stderr)
            yield line


def _show_warning(message, *_):
    print(f"hat-translate: warning: {message}", file=sys.stderr)


if __name__ == "__main__":
    main()
