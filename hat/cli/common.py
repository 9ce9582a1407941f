"""What every command shares: the --run option and errors as one line with their exit status."""

from __future__ import annotations

import argparse
import errno
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import NoReturn

from hat.errors import HatError, StorageError


class _HelpFormatter(argparse.ArgumentDefaultsHelpFormatter):
    """Shows defaults, save those that say nothing."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        if isinstance(action.default, list):
            return f"{action.help} (default: {' '.join(action.default)})"
        return action.help if action.default in (None, False) else super()._get_help_string(action)


class ArgumentParser(argparse.ArgumentParser):
    """argparse with one-line errors (status 2) and defaults shown in --help."""

    def __init__(self, description: str) -> None:
        super().__init__(description=description, formatter_class=_HelpFormatter)

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: error: {message}\n")


def add_run_option(parser: argparse.ArgumentParser) -> None:
    """Add --run DIR; without it a command works on `runs/latest`."""
    parser.add_argument("--run", metavar="DIR", help="run directory (default: the one last used)")


def add_latency_option(parser: argparse.ArgumentParser) -> None:
    """Add --latency BUDGET, which may be given several times; None without any."""
    parser.add_argument(
        "--latency",
        action="append",
        metavar="BUDGET",
        help="200ms, 0.2s, 900us, or 50%% of the full-size Transformer's latency, for the median sentence; 200ms@p90 "
        "for nine of ten; may be given several times (default: search.latency of the run's config)",
    )


def add_limit_options(parser: argparse.ArgumentParser) -> None:
    """Add --max-parameters and --max-size, limits beside latency; None without."""
    parser.add_argument("--max-parameters", metavar="N", help="5M or 500k: the winner has no more, embeddings included")
    parser.add_argument(
        "--max-size", metavar="SIZE", help="6MB or 900kB: the winner's bundle, all files together, takes no more"
    )


def add_precision_option(parser: argparse.ArgumentParser, more: Iterable[str] = (), help_more: str = "") -> None:
    """Add --precision, of the bundles whose latency counts; see `device_at`. `more` are further choices."""
    parser.add_argument(
        "--precision",
        choices=("fp32", "int8", *more),
        help=f"of the bundles whose latency counts{help_more} (default: what the device's file says)",
    )


def device_at(name: str, precision: str | None) -> str:
    """The name of a device at that precision (None: its own)."""
    return name if precision is None else f"{name}.{precision}"


def positive_int(text: str) -> int:
    """argparse type: an integer of at least 1."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text} is not a positive integer")
    return value


def run_command(
    parser: argparse.ArgumentParser,
    function: Callable[[argparse.Namespace], None],
    arguments: Sequence[str] | None = None,
) -> None:
    """Parse, call `function(options)`, and end the process with the right status.

    An expected error is one line on stderr and its own status; an interrupt ends with 130.
    """
    options = parser.parse_args(arguments)
    try:
        function(options)
    except HatError as error:
        _fail(parser, error)
    except KeyboardInterrupt:
        print(f"\n{parser.prog}: interrupted; run the same command again to go on", file=sys.stderr)
        raise SystemExit(130) from None
    except BrokenPipeError:
        sys.stderr.close()
        raise SystemExit(0) from None
    except OSError as error:
        _fail(parser, _storage_error(error))


def _storage_error(error: OSError) -> StorageError:
    remedies = {
        errno.ENOSPC: "the disk is full; free some space and run again",
        errno.EDQUOT: "the disk quota is used up; free some space and run again",
        errno.EACCES: "no permission to write there; change it or name another directory with --run",
        errno.EPERM: "no permission to write there; change it or name another directory with --run",
        errno.EROFS: "that file system is read-only; name another directory with --run",
        errno.ENOTDIR: "a file stands where a directory is needed; name another directory with --run",
        errno.EEXIST: "a file stands where a directory is needed; name another directory with --run",
    }
    if error.errno not in remedies:
        raise error
    return StorageError(f"{error.filename or 'output'}: {remedies[error.errno]}")


def _fail(parser: argparse.ArgumentParser, error: HatError) -> NoReturn:
    message = " ".join(str(error).split())
    print(f"{parser.prog}: error: {message}", file=sys.stderr)
    raise SystemExit(error.exit_status) from None
