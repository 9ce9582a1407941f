"""hat-translate: standard input to standard output through a bundle."""

import itertools
import sys
import warnings

from hat.cli.common import ArgumentParser, positive_int, run_command
from hat.errors import DataError

LINES_AT_A_TIME = 1000


def main(arguments=None):
    parser = ArgumentParser("Translate standard input, one sentence a line, to standard output.")
    parser.add_argument("bundle", metavar="BUNDLE", help="folder that hat-export wrote, such as runs/x/export/y/int8")
    parser.add_argument(
        "--beam", type=positive_int, metavar="N", help="hypotheses per sentence (default: the bundle's)"
    )
    parser.add_argument("--threads", type=positive_int, default=1, metavar="N", help="processor threads")
    parser.add_argument("--batch", type=positive_int, default=2000, metavar="N", help="source tokens in one batch")
    run_command(parser, _translate, arguments)


def _translate(options):
    from hat.deploy.translator import Translator

    warnings.showwarning = _show_warning
    translator = Translator(options.bundle, options.threads, options.beam, options.batch)
    lines = _decoded(sys.stdin.buffer)
    at_a_time = 1 if sys.stdin.isatty() else LINES_AT_A_TIME
    while chunk := list(itertools.islice(lines, at_a_time)):
        for translation in translator.translate(chunk):
            sys.stdout.buffer.write(translation.encode("utf-8") + b"\n")
        sys.stdout.buffer.flush()


def _decoded(stream):
    """Lines of a binary stream without their ends; raises DataError, naming the line, if one isn't UTF-8."""
    for number, line in enumerate(stream, start=1):
        try:
            yield line.decode("utf-8").rstrip("\r\n")
        except UnicodeDecodeError:
            raise DataError(f"standard input, line {number}: not UTF-8; convert it first, with iconv for one") from None


def _show_warning(message, *_):
    print(f"hat-translate: warning: {message}", file=sys.stderr)


if __name__ == "__main__":
    main()
